"""Attention transfer: the student matches the teacher's spatial attention maps."""

from collections.abc import Iterable
from math import prod

from kdlab.errors import BadInput
from kdlab.losses.attention import attention_transfer
from kdlab.methods.base import Distiller
from kdlab.methods.term_settings import Terms, merge_terms
from kdlab.methods.terms import BuildContext, Shapes


class AttentionTransfer(Distiller):
    """Matches spatial attention maps on several layers (Zagoruyko & Komodakis 2017, arXiv:1612.03928).

    Args:
        terms: see `Distiller`; by default attention of weight 1000 on three layers beside the labels.

    Raises:
        BadInput: when it is built, a tap whose map has one position: normalised, its attention is the constant 1.
    """

    own_terms = ("ce", "attention")

    def __init__(self, terms: Terms | None = None) -> None:
        attention = {"_target_": "kdlab.losses.attention_transfer", "weight": 1000.0, "taps": ["low", "mid", "high"]}
        super().__init__(merge_terms({"ce": {"weight": 1.0}, "attention": attention}, terms))

    def build_terms(self, context: BuildContext, seed: int = 0) -> None:
        """Builds the terms, after checking that every map has more than one position."""
        attention = [term for term in self.settings if term.loss is attention_transfer]
        _check_maps("student", context.student, [role for term in attention for role in term.roles])
        for shapes in context.teachers:
            _check_maps("teacher", shapes, [role for term in attention for role in term.teacher_roles])
        super().build_terms(context, seed)


def _check_maps(side: str, shapes: Shapes, roles: Iterable[str]) -> None:
    for role in roles:
        shape = shapes[role]
        if len(shape) == 3 and prod(shape[1:]) == 1:
            raise BadInput(
                f"model.{side}.taps.{role}: attention needs a map of more than one position, got "
                f"{tuple(shape)} (channels, height, width). Tap an earlier module, or give the network larger images: "
                f"model.{side}.image_size=64."
            )
