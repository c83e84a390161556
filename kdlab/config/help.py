"""The page that `python -m kdlab.train --help` prints: text from `conf/train.yaml`, options from the folders."""

import re
import shutil
from string import Template
from textwrap import fill

from omegaconf import OmegaConf

from kdlab.config.folders import CONF, ROOT
from kdlab.settings.old_names import without_old_names

WIDTH = 110  # at most; of a narrower terminal, its own
COLUMN = re.compile(r" *\S.*? {2,}")  # what stands before a second column, in which its text is wrapped


def help_page(width: int | None = None) -> str:
    """The template `hydra.help.template`, with the options of the group `data` for `$data`.

    Args:
        width: of a line, in characters; None is the terminal's.
    """
    width = width or min(shutil.get_terminal_size().columns, WIDTH)
    template = Template(OmegaConf.load(CONF / "train.yaml").hydra.help.template)
    options = {name: "(none)" for name in template.get_identifiers()} | _options()
    lines = template.substitute(options).splitlines()
    return "\n".join(_wrapped(line, width) for line in lines)


def _wrapped(line: str, width: int) -> str:
    first = COLUMN.match(line)
    indent = " " * len(first[0]) if first else ""
    return fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _options() -> dict[str, str]:
    folders = [path for path in (*CONF.iterdir(), ROOT / "sweeps") if path.is_dir()]
    named = {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))
        for folder in folders
    }
    return {group: ", ".join(without_old_names(group, names)) for group, names in named.items() if names}
