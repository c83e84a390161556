"""Where kdlab's config lies, and what may be changed in it: an unknown key is an error that names the closest one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from kdlab.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent  # conf/ and sweeps/: in a wheel, in a clone
CONF = ROOT / "conf"

OPEN = (  # nodes below which any key may be added
    "trainer.*",
    "*.kwargs.*",
    "*.taps.*",
    "optimizer.*",
    "scheduler.*",
    "*.optimizer.*",
    "*.scheduler.*",
    "callbacks.*",
    "loss.terms.*",
    "plan.*.*",
    "hydra.*",
)

@dataclass(frozen=True)
class Checked:
    """A command line that Hydra will accept.

    Attributes:
        overrides: with the `+` that Hydra wants below nodes declared open.
        config: composed; of a sweep, one of its cells.
        sweep_folder: where a sweep notes the outcome of its cells; None for one run.
    """

    overrides: list[str]
    config: DictConfig
    sweep_folder: Path | None


class Sweeps(SearchPathPlugin):
    """Finds `sweeps/` beside kdlab's `conf/`, and in the folder where the command is typed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in dict.fromkeys((ROOT, Path.cwd())):
            if (folder / "sweeps").is_dir():
                search_path.append("kdlab", f"file://{folder}")


def use_kdlab_config() -> None:
    """Teaches Hydra where sweeps lie and what kdlab's configs compute."""
    Plugins.instance().register(Sweeps)
    OmegaConf.register_new_resolver("one_minus", lambda value: round(1 - float(value), 12), replace=True)


def checked_overrides(overrides: Sequence[str], *, multirun: bool = False, folder: str | None = None) -> Checked:
    """Checks a command line before anything runs.

    Args:
        overrides: as typed.
        multirun: whether `-m` was given.
        folder: a further config folder (`--config-dir`).

    Raises:
        BadInput: no such group, option or key; the closest one is named.
    """
    with _composer(folder) as loader:
        parsed = _parsed(overrides)
        groups = [override for override in parsed if _is_group(loader, override)]
        for override in groups:
            _check_options(loader, override)
        lines = [_line(override) if override not in groups else override.input_line or "" for override in parsed]
        try:
            config = compose("train", _first_choices(lines), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise _diagnosis(error, parsed, groups) from error
    if not multirun and config.hydra.mode != RunMode.MULTIRUN:
        return Checked(lines, config, None)
    sweep = Path(config.hydra.sweep.dir).absolute()
    return Checked([*lines, f"hydra.sweep.dir='{sweep}'"], config, sweep)


def compose_config(overrides: Sequence[str]) -> DictConfig:
    """The composed config of one run, as the train command would see it."""
    use_kdlab_config()
    config = checked_overrides(overrides).config
    with open_dict(config):
        del config["hydra"]
    return config


@contextmanager
def _composer(folder: str | None) -> Iterator[ConfigLoader]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        loader = GlobalHydra.instance().config_loader()
        if folder:
            loader.get_search_path().prepend("command-line", f"file://{Path(folder).absolute()}")
        yield loader


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        text = str(error).splitlines()[0]
        raise BadInput(f"{text} An override is written key=value, with quotes around special characters.") from error


def _is_group(loader: ConfigLoader, override: Override) -> bool:
    return bool(loader.get_group_options(override.key_or_group)) or override.key_or_group == "sweeps"


def _check_options(loader: ConfigLoader, override: Override) -> None:
    group = override.key_or_group
    options = sorted(loader.get_group_options(group))
    for choice in _choices(override):
        if choice not in (*options, "null"):
            raise BadInput(f"{group}={choice}: there is no such option. {_hint(choice, options, 'Options')}")
    if group == "sweeps" and not override.is_add():
        raise BadInput(f"A sweep is added to the experiment: +{override.input_line.lstrip('+')}")


def _choices(override: Override) -> list[str]:
    if override.is_delete():
        return []
    if override.is_sweep_override():
        return [str(choice) for choice in override.sweep_string_iterator()]
    value = override.value()
    return [str(choice) for choice in (value if isinstance(value, list) else [value]) if choice is not None]


def _line(override: Override) -> str:
    """The override with `++` below open nodes, and elsewhere without the plus that would let a wrong key pass."""
    line = (override.input_line or "").lstrip("+")
    opened = any(fnmatchcase(override.key_or_group, pattern) for pattern in OPEN)
    return f"++{line}" if opened and not override.is_delete() else line


def _first_choices(lines: Sequence[str]) -> list[str]:
    """One cell of a sweep: which keys exist hardly depends on where the sweep is."""
    return [
        f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
        if override.is_sweep_override() and not override.is_interval_sweep()
        else override.input_line or ""
        for override in _parsed(lines)
    ]


def _diagnosis(error: Exception, parsed: Sequence[Override], groups: Sequence[Override]) -> BadInput:
    """Why Hydra refused: mostly a key that is not there, said with the closest one that is."""
    try:
        cfg = compose("train", _first_choices([override.input_line or "" for override in groups]))
    except (HydraException, OmegaConfBaseException) as second:
        return BadInput(" ".join(str(second).split()))
    known = [*_keys(OmegaConf.to_container(cfg, resolve=False)), *(path.name for path in CONF.iterdir() if path.is_dir())]
    for override in parsed:
        key = override.key_or_group
        if override not in groups and not _line(override).startswith("++") and not _exists(cfg, key):
            return BadInput(f"{key} is not a setting. {_hint(key, known, 'Settings here')}")
    return BadInput(" ".join(str(error).split()))


def _exists(cfg: DictConfig, key: str) -> bool:
    node: Any = OmegaConf.to_container(cfg, resolve=False)
    for part in key.split("."):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            return False
    return True


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")


def _hint(wrong: str, known: Sequence[str], label: str) -> str:
    """The closest known name: by the whole of it, else by its last part (`temprature` for `loss.temperature`)."""
    close = get_close_matches(wrong, known, n=1, cutoff=0.75)
    by_end = {name.rpartition(".")[2]: name for name in known}
    close += [by_end[end] for end in get_close_matches(wrong.rpartition(".")[2], list(by_end), n=1, cutoff=0.75)]
    if close:
        return f"Did you mean {close[0]}?"
    siblings = [name for name in known if name.rpartition(".")[0] == wrong.rpartition(".")[0]]
    return f"{label}: {', '.join(siblings or known)}."
