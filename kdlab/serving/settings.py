"""The settings of a server, as `conf/serve.yaml` and the command line give them."""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kdlab.config.folders import CONF
from kdlab.errors import BadInput
from kdlab.settings.numbers import is_fraction, is_number, is_whole
from kdlab.settings.targets import check_known

TOKEN = "KDLAB_SERVE_TOKEN"
LEAST = {"threads": 1, "max_batch": 1, "queue": 1, "port": 0, "workers": 1, "connections": 1, "window": 1}
POSITIVE = ("timeout_s", "max_body_mb", "max_pending_mb", "max_megapixels", "read_timeout_s")
LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class CascadeSettings:
    """When the student defers to the teacher: at most one of both is given.

    Attributes:
        target: share of validation samples on which the cascade must predict as the teacher does.
        threshold: the student's probability below which it defers.
    """

    target: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("target", "threshold"):
            value = getattr(self, name)
            if value is not None and not is_fraction(value):
                raise BadInput(f"serve.cascade.{name} must be a number from 0 to 1, got {value!r}.")
        if self.target is not None and self.threshold is not None:
            raise BadInput(
                "serve.cascade takes a target, from which the threshold is learned, or the threshold itself; got "
                f"target={self.target:g} and threshold={self.threshold:g}. Leave one out."
            )

    @property
    def is_on(self) -> bool:
        """Whether the student defers at all."""
        return self.target is not None or self.threshold is not None


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Every key below `serve`; `conf/serve.yaml` says what each sets.

    Raises:
        BadInput: a value outside its range, or keys that do not go together.
    """

    artifact: str | None = None
    engine: str | None = None
    threads: int = 1
    max_batch: int = 16
    queue: int = 256
    timeout_s: float = 5
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    workers: int = 1
    max_body_mb: float = 8
    max_pending_mb: float = 256
    max_megapixels: float = 16
    read_timeout_s: float = 10
    connections: int = 512
    crop_fraction: float | None = None
    teacher: str | None = None
    cascade: Mapping[str, Any] = field(default_factory=dict)
    shadow: float = 0
    window: int = 1000

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            self._require(name, is_whole(getattr(self, name), least), f"a whole number, {least} or more")
        for name in POSITIVE:
            value = getattr(self, name)
            self._require(name, is_number(value) and 0 < value < float("inf"), "a number above 0")
        self._require("port", self.port <= LAST_PORT, f"a whole number from 0 to {LAST_PORT}")
        self._require("queue", self.queue >= self.max_batch, f"at least serve.max_batch, {self.max_batch}")
        one_body = f"at least serve.max_body_mb, {self.max_body_mb:g}"
        self._require("max_pending_mb", self.max_pending_mb >= self.max_body_mb, one_body)
        self._require("shadow", is_fraction(self.shadow), "a number from 0 to 1")
        crop = self.crop_fraction
        self._require("crop_fraction", crop is None or (is_fraction(crop) and crop > 0), "in (0, 1], or null")
        check_known("serve.cascade", self.cascade, CascadeSettings.__annotations__)
        self._check_teacher()
        self._check_token()

    @property
    def deferral(self) -> CascadeSettings:
        """When the student defers."""
        return CascadeSettings(**self.cascade)

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise BadInput(f"serve.{name} must be {rule}; got {getattr(self, name)!r}.")

    def _check_teacher(self) -> None:
        used = "serve.cascade.target=0.99" if self.deferral.is_on else "serve.shadow" if self.shadow else ""
        if used and self.teacher is None:
            raise BadInput(
                f"{used.partition('=')[0]} needs a teacher, and serve.teacher is not set. Export the teacher and name "
                "it: serve.teacher=outputs/response-1a2b3c4d/teacher"
            )
        if self.teacher is not None and not used:
            raise BadInput(
                f"serve.teacher={self.teacher} is used by nothing. Add serve.cascade.target=0.99, by which the student "
                "defers what it is unsure of, or serve.shadow=0.01, by which their agreement is watched."
            )

    def _check_token(self) -> None:
        if self.token is not None and not re.fullmatch(r"[!-~]+", str(self.token)):
            raise BadInput("serve.token must be ASCII characters without spaces, at least one. Set another one.")
        if self.token is None and not _is_loopback(self.host):
            raise BadInput(
                f"serve.host={self.host} can be reached from other machines, and no token is set. Set one in the "
                f"environment, {TOKEN}=…, or leave serve.host at 127.0.0.1."
            )


def serve_settings(overrides: Sequence[str]) -> ServeSettings:
    """The settings of `conf/serve.yaml` with overrides; the token also from the environment.

    Raises:
        BadInput: an override that sets something else, or an unknown or wrong value.
    """
    config = OmegaConf.load(CONF / "serve.yaml")
    for line in overrides:
        key, equals, _ = line.partition("=")
        if not equals or not key.startswith("serve."):
            raise BadInput(f"{line}: only settings of the server can be given, as serve.port=8001. Leave it out.")
        _set(config, line, key)
    values: Any = OmegaConf.to_container(config.serve)
    token = values["token"] if values["token"] is not None else os.environ.get(TOKEN)
    values["token"] = str(token) if token else None
    return ServeSettings(**values)


def _set(config: Any, line: str, key: str) -> None:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    if not OmegaConf.is_dict(node):
        raise BadInput(f"{line}: {parent} has no settings below it. Set {parent}=… itself.")
    check_known(parent, {name: line.partition("=")[2]}, [str(known) for known in node])
    if OmegaConf.is_dict(node[name]):
        raise BadInput(f"{line}: {key} is not a single value. Set what is below it: {key}.{next(iter(node[name]))}=…")
    try:
        config.merge_with_dotlist([line])
    except (OmegaConfBaseException, ValueError) as error:
        raise BadInput(f"{line}: {str(error).splitlines()[0]}. Write it as {key}=value.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
