"""The page that `python -m kdlab.train --help` prints: text from `conf/train.yaml`, options from the folders."""

from string import Template
from textwrap import fill

from omegaconf import OmegaConf

from kdlab.config.folders import CONF, ROOT
from kdlab.settings.old_names import without_old_names

WIDTH = 110
INDENT = 20  # where options begin


def help_page() -> str:
    """The template `hydra.help.template`, with the options of the group `data` for `$data`."""
    template = Template(OmegaConf.load(CONF / "train.yaml").hydra.help.template)
    options = {name: "(none)" for name in template.get_identifiers()} | _options()
    lines = template.substitute(options).splitlines()
    return "\n".join(fill(line, WIDTH, subsequent_indent=" " * INDENT) if line else "" for line in lines)


def _options() -> dict[str, str]:
    folders = [path for path in (*CONF.iterdir(), ROOT / "sweeps") if path.is_dir()]
    named = {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))
        for folder in folders
    }
    return {group: ", ".join(without_old_names(group, names)) for group, names in named.items() if names}
