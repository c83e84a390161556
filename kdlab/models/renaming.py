"""Loading state dicts with the module names of other repositories."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn


def accept_names(network: nn.Module, names: Mapping[str, str]) -> None:
    """Let a network load state dicts of other repositories as well as its own.

    Args:
        network: gets a hook that renames before each loading.
        names: regular expression for a part of their names → its replacement, as for `re.sub`.
    """
    network.register_load_state_dict_pre_hook(partial(_rename, names))  # type: ignore[no-untyped-call]


def _rename(names: Mapping[str, str], _network: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        renamed = name.removeprefix(prefix)
        for theirs, ours in names.items():
            renamed = re.sub(theirs, ours, renamed)
        state[prefix + renamed] = state.pop(name)
