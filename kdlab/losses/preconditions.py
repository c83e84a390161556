"""Checks of loss inputs; each error names the loss, the rule and the shapes received."""

from torch import Tensor


def check_logits(loss: str, student: Tensor, teacher: Tensor, temperature: float = 1.0) -> None:
    """Raises ValueError unless both logits have one shape and the temperature is positive."""
    if student.shape != teacher.shape:
        raise ValueError(
            f"{loss} compares logits of one shape, "
            f"got student {tuple(student.shape)} and teacher {tuple(teacher.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"{loss} needs a temperature above 0, got {temperature}")


def check_samples(loss: str, student: Tensor, teacher: Tensor) -> None:
    """Raises ValueError unless both hold features, of whatever shape, of equally many samples."""
    if min(student.ndim, teacher.ndim) < 2 or len(student) != len(teacher):
        raise ValueError(
            f"{loss} compares (batch, ...) features of the same samples, "
            f"got student {tuple(student.shape)} and teacher {tuple(teacher.shape)}"
        )
