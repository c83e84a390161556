"""The whole batch on every rank, with gradients, in the order in which one process would have it."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def gather_samples(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Each tensor with the samples of all ranks along its first dimension; on one rank, as it is.

    Rank r holds samples r, r + ranks, r + 2·ranks, … of the batch. The backward pass sums the gradients of all
    ranks for a sample, so a loss of the whole batch on every rank, averaged over ranks by DDP, counts once.

    Args:
        tensors: by name; a tuple of tensors is gathered tensor by tensor, None stays None.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return dict(tensors)
    return {name: _gathered(value) for name, value in tensors.items()}


def _gathered(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_gathered(part) for part in value)
    return value if value is None else _whole(value)


def _whole(local: Tensor) -> Tensor:
    gathered = [torch.zeros(1, dtype=torch.int64, device=local.device) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, torch.tensor([len(local)], device=local.device))
    sizes = [int(size) for size in gathered]
    padding = local.new_zeros((max(sizes) - len(local), *local.shape[1:]))
    padded = torch.cat([local, padding]).contiguous()
    if local.is_floating_point() and local.requires_grad:
        parts = list(all_gather(padded))  # type: ignore[no-untyped-call]
    else:
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
    interleaved = torch.stack(parts, dim=1).flatten(0, 1)
    held = torch.stack([torch.arange(max(sizes)) < size for size in sizes], dim=1).flatten()
    return interleaved[held.to(local.device)]
