"""Checkpoints given as an address of Weights & Biases: `wandb://entity/project/name:alias`."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kdlab.errors import BadInput, first_line
from kdlab.models.stage_folder import WEIGHTS
from kdlab.store.atomic import check_writable
from kdlab.tracking.wandb import has_credentials

SCHEME = "wandb://"
ADDRESS = re.compile(r"wandb://(?P<entity>[\w-]+)/(?P<project>[^/\\#?%:]+)/(?P<name>[\w.-]+):(?P<alias>[^/:]+)")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def with_local_weights(cfg: DictConfig) -> DictConfig:
    """The config with each `checkpoint` of `model` that is an address replaced by the path of its file.

    Files are kept in `artifacts/` of the store, a folder for each version, so that each is downloaded once; a
    version's own address (`…:v3`) then needs no network.

    Raises:
        BadInput: not an address, no such artifact, no access, or not one file of weights in it.
    """
    found = dict(addresses(OmegaConf.to_container(cfg.model, resolve=True), "model"))
    if not found:
        return cfg
    local = cfg.copy()
    folder = Path(cfg.paths.store) / "artifacts"
    with open_dict(local):
        for setting, address in found.items():
            OmegaConf.update(local, setting, str(_file(setting, address, folder)))
    return local


def addresses(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """The dotted key and the address of every checkpoint that is an address.

    Args:
        node: `model` of a config, as plain values, or what is in it.
        prefix: its dotted key.
    """
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key == "checkpoint" and isinstance(value, str) and value.startswith(SCHEME):
            yield f"{prefix}.{key}", value
        yield from addresses(value, f"{prefix}.{key}")


@cache  # an alias means one thing for as long as a process runs
def _file(setting: str, address: str, folder: Path) -> Path:
    parts = ADDRESS.fullmatch(address)
    if parts is None or ".." in address:
        raise BadInput(
            f"{setting}: an address is wandb://entity/project/name:alias, got {address}. Give all four parts."
        )
    path = folder / parts["entity"] / parts["project"] / parts["name"]
    if file := _downloaded(path / parts["alias"]):  # folders are named by versions, which never move
        return file
    artifact = _artifact(setting, address, path)
    version = path / artifact.version
    return _downloaded(version) or _download(setting, artifact, version)


def _downloaded(version: Path) -> Path | None:
    return next((file for file in version.glob("*") if file.suffix in SUFFIXES), None)


def _artifact(setting: str, address: str, folder: Path) -> Any:
    import wandb

    if not has_credentials():
        raise _unreachable(setting, address, folder, "there is no API key: run `wandb login` or set WANDB_API_KEY")
    return _from_server(lambda: wandb.Api().artifact(address.removeprefix(SCHEME)), setting, address, folder)


def _download(setting: str, artifact: Any, version: Path) -> Path:
    """Downloads the one file of weights to a temporary folder, and moves it to its own when complete."""
    name = _weights(setting, artifact)
    check_writable(version.parent, "paths.store")
    with tempfile.TemporaryDirectory(dir=version.parent, prefix=".") as folder:
        what = f"{name} of {artifact.name}"
        file = Path(_from_server(lambda: artifact.get_entry(name).download(root=folder), setting, what, version.parent))
        kept = Path(folder) / "complete"
        kept.mkdir()
        shutil.move(file, kept / file.name)
        if not version.exists():  # another process may have been faster
            os.replace(kept, version)
    return version / file.name


def _weights(setting: str, artifact: Any) -> str:
    names = sorted(str(name) for name in artifact.manifest.entries)
    if WEIGHTS in names:
        return WEIGHTS
    candidates = [name for name in names if name.endswith(SUFFIXES)]
    if len(candidates) != 1:
        found = (
            f"several: {', '.join(candidates)}" if candidates else f"only {', '.join(names)}" if names else "no files"
        )
        raise BadInput(
            f"{setting}: {artifact.name} must hold one file of weights ({', '.join(SUFFIXES)}), or {WEIGHTS} as kdlab "
            f"records it; it has {found}. Download the right one and give its path."
        )
    return candidates[0]


def _from_server(call: Callable[[], Any], setting: str, what: str, folder: Path) -> Any:
    try:
        return call()
    except Exception as error:  # wandb raises many types: no network, no such artifact, no permission
        raise _unreachable(setting, what, folder, first_line(error)) from error


def _unreachable(setting: str, what: str, folder: Path, reason: str) -> BadInput:
    versions = ", ".join(sorted(version.name for version in folder.glob("v*") if _downloaded(version)))
    local = f"{versions} in {folder} (use …:{versions.split(', ')[-1]})" if versions else f"nothing in {folder}"
    return BadInput(
        f"{setting}: {what} cannot be downloaded from Weights & Biases ({reason}). Downloaded before: {local}. Check "
        f"address, login and network, or download the weights elsewhere and give the file's path: {setting}=…"
    )
