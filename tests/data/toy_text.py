"""A text data module as a user or kdlab may write one: token ids, padded per batch to one of a few lengths."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdlab.data.batch import Batch
from kdlab.data.module import Part, StreamData

WORDS, CLASSES, BUCKETS = 20, 3, torch.tensor([4, 8, 12])


def write_documents(seed, count):
    """Documents of 1 to 12 words; the first word determines the class."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 13, (count,), generator=draw).tolist()
    return [torch.randint(1, WORDS, (length,), generator=draw) for length in lengths]


@dataclass(eq=False, kw_only=True)
class ToyText(StreamData):
    """A view is the padded length: that of the longest document of the batch, rounded up to a bucket."""

    batch_size: int = 3
    eval_batch_size: int = 7

    def read_parts(self):
        self.num_classes = CLASSES
        self.documents = {"train": write_documents(0, 73), "test": write_documents(1, 31)}
        self.lengths = {name: torch.tensor([len(one) for one in many]) for name, many in self.documents.items()}
        train = torch.arange(73)
        return {"train": Part("train", train[8:]), "val": Part("train", train[:8]), "test": Part("test", train[:31])}

    def epoch_views(self, epoch, samples):
        return torch.cat([self.evaluation_views("train", batch) for batch in torch.split(samples, self.batch_size)])

    def evaluation_views(self, source, samples):
        longest = self.lengths[source][samples].max()
        return torch.full_like(samples, int(BUCKETS[torch.searchsorted(BUCKETS, longest)]))

    def fetch(self, source, batches):
        for indices in batches:
            documents = [self.documents[source][index] for index in indices.samples.tolist()]
            (length,) = set(indices.view.tolist())
            ids = torch.stack([nn.functional.pad(one, (0, length - len(one))) for one in documents])
            inputs = {"input_ids": ids, "attention_mask": (ids > 0).long()}
            yield Batch(inputs, torch.stack([one[0] % CLASSES for one in documents]), indices)

    @property
    def list_size(self):
        return len(self.documents["train"])

    def cache_key(self):
        return {"set": "toy text", "buckets": BUCKETS.tolist()}


class Bag(nn.Module):
    """A mean of word vectors over the padded length: its outputs differ between views."""

    def __init__(self, num_classes, width=8):
        super().__init__()
        self.words, self.head = nn.Embedding(WORDS, width), nn.Linear(width, num_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head((self.words(input_ids) * attention_mask[..., None]).mean(1))
