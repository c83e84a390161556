"""Old names of options, which keep working: `conf/<group>/<old name>.yaml` has nothing but its new name."""

from collections.abc import Iterable, Mapping

OLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "loss": {
        "fitnet": "hint",
        "logit_standard": "standardised_kd",
        "self_attention": "self_attention_distillation",
    }
}
"""By config group, with the new name of each."""


def without_old_names(group: str, options: Iterable[str]) -> list[str]:
    """The options of a group for help and hints."""
    return [option for option in options if option not in OLD_NAMES.get(group, {})]
