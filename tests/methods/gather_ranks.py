"""One rank of several, or a single process: the gathered tensors, and the gradient of a loss of the whole batch.

python -m tests.methods.gather_ranks FOLDER RANK RANKS      writes FOLDER/<rank>-of-<ranks>.pt
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from kdlab.methods.gather import gather_samples

BATCHES = (5, 4, 1)  # two ranks hold three and two samples, two each, and one and none


def inputs(samples: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(samples)
    return {
        "features": torch.randn(samples, 3, generator=generator),
        "maps": torch.randn(samples, 2, 2, 2, generator=generator),
        "labels": torch.randint(10, (samples,), generator=generator),
    }


def whole_batch_loss(vectors: torch.Tensor, maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compares each sample with each other, and depends on the order."""
    position = torch.arange(1, len(vectors) + 1)
    return ((vectors @ vectors.T).tanh() * maps.mean((1, 2, 3)) * position * (labels + 1)).sum()


def gathered(samples: int, rank: int, ranks: int) -> dict[str, object]:
    local = {name: tensor[rank::ranks] for name, tensor in inputs(samples).items()}
    weight = torch.full((3, 4), 0.5).requires_grad_()
    own = (local["features"] @ weight, local["maps"] * weight.sum())
    whole = gather_samples({"student": own, "teacher": local["features"], "labels": local["labels"], "index": None})
    loss = whole_batch_loss(*whole["student"], whole["labels"])
    loss.backward()
    gradient = weight.grad
    if ranks > 1:
        dist.all_reduce(gradient)
        gradient /= ranks  # as DDP does
    return {
        **whole,
        "student": tuple(part.detach() for part in whole["student"]),
        "loss": loss.detach(),
        "grad": gradient,
    }


if __name__ == "__main__":
    folder, rank, ranks = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    torch.save([gathered(samples, rank, ranks) for samples in BATCHES], folder / f"{rank}-of-{ranks}.pt")
    if ranks > 1:
        dist.destroy_process_group()
