"""What a student can be asked to match: tensors in, scalar out."""

from kdlab.losses.labels import ce
from kdlab.losses.response import response_kd

__all__ = ["ce", "response_kd"]
