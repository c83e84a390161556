"""A network together with the preprocessing that its weights expect."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.models.pruned import Pruned


class Network(nn.Module):
    """A network on raw images, so that teacher and student get the same pixels and each normalises for itself.

    uint8 images are scaled and normalised as by torchvision's `ToTensor` and `Normalize`, bit for bit.
    `module` is the bare network; none of the preprocessing is in a state dict. `pruned` is the record of what was
    removed from it; None for a network as it is built.

    Args:
        module: takes float images `(batch, channels, side, side)`, or keywords.
        mean: per channel, for pixels in [0, 1]; None leaves them as they are.
        std: likewise; given if and only if mean is.
        image_size: side in pixels that the network expects; other sizes are resized (bilinear, antialiased).
        channels_last: pass images on in that memory format.

    Raises:
        BadInput: one of mean and std without the other, or of another length.
    """

    mean: Tensor | None
    std: Tensor | None
    white: Tensor

    def __init__(
        self,
        module: nn.Module,
        *,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        image_size: int | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if len(mean or ()) != len(std or ()):
            raise BadInput(f"mean and std: give both, one number a channel, or neither; got {mean} and {std}")
        self.module = module
        self.pruned: Pruned | None = None
        self.image_size = image_size
        self.channels_last = channels_last
        # A tensor, because a GPU divides by a plain number through its reciprocal, which rounds differently.
        self.register_buffer("white", torch.tensor(255.0), persistent=False)
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)

    def forward(self, inputs: Tensor | Mapping[str, Any]) -> Tensor:
        """Logits of the network.

        Args:
            inputs: images `(batch, channels, height, width)`, uint8 in 0..255 or floats in [0, 1]; or a dict,
                which is passed by keyword untouched.
        """
        if isinstance(inputs, Tensor):
            return _logits(self.module(self.prepare(inputs)))
        return _logits(self.module(**inputs))

    def prepare(self, images: Tensor) -> Tensor:
        """Images as the bare network expects them: float32, normalised, at its own resolution."""
        images = images.float() / self.white if images.dtype == torch.uint8 else images.float()
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        if self.image_size and images.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        flat = images.ndim != 4  # vectors have no channels to move
        return images if flat or not self.channels_last else images.to(memory_format=torch.channels_last)


def _per_channel(values: Sequence[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(list(values), dtype=torch.float32).view(-1, 1, 1)


def _logits(output: Any) -> Tensor:
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise BadInput(
            "a network must return a tensor of logits, or an output that has `logits`, "
            f"got {type(output).__name__}; choose a classifier"
        )
    return logits
