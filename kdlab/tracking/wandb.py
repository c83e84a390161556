"""Weights & Biases: one run per cell and one per stage, opened and closed in one place.

Tracking never stops a training: a run that cannot be opened, written or closed is one warning, and the
training goes on without it. wandb is imported only when a run is opened.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.errors import BadInput, Interrupted, KdlabError

if TYPE_CHECKING:
    from wandb import Artifact, Run, Settings

log = logging.getLogger(__name__)

MODES = ("online", "offline", "disabled")
FORBIDDEN_IN_PROJECT = set("/\\#?%:")
TAG_LENGTH = 64
COMPLETE = "complete"  # a file beside an offline run that ended well
API_TIMEOUT = 10  # seconds
# Replaced by `WANDB_…` variables of the same name. Times in seconds: wandb's own, 90 and unlimited, would be
# spent once per run by a sweep on a machine that lost its network.
DEFAULTS: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "init_timeout": 30.0,
    "finish_timeout": 300.0,
    "finish_timeout_raises": True,
}


@dataclass(frozen=True)
class WandbSettings:
    """Where the runs of one command go.

    Args:
        project: project in which the runs are listed.
        directory: the runs' files are written to `wandb/` in it; created when absent.
        entity: team or user; None leaves it to `WANDB_ENTITY` and then to the account's default.
        tags: 1 to 64 characters each; empty leaves them to `WANDB_TAGS`.
        mode: `online`, `offline` or `disabled`; None leaves it to `WANDB_MODE`, and then means online with an
            API key and offline without.
        group: name of the sweep.
        notes: free text.
        artifacts: whether files are recorded too: networks and results, with what they were made from.
        report: whether the report of the sweep is published when it ends.

    Raises:
        BadInput: a mode, project, tag or switch that wandb would refuse.
    """

    project: str
    directory: Path
    entity: str | None = None
    tags: tuple[str, ...] = ()
    mode: str | None = None
    group: str | None = None
    notes: str | None = None
    artifacts: bool = True
    report: bool = False

    def __post_init__(self) -> None:
        if self.mode not in (None, *MODES):
            raise BadInput(f"logger.mode is one of {', '.join(MODES)} or null, got {self.mode!r}")
        if not 0 < len(self.project) <= 128 or FORBIDDEN_IN_PROJECT & set(self.project):
            raise BadInput(
                f"logger.project has 1 to 128 characters and none of / \\ # ? % :, got {self.project!r}; "
                "choose another name, for example logger.project=kdlab"
            )
        if not isinstance(self.artifacts, bool):
            raise BadInput(f"logger.artifacts must be true or false, got {self.artifacts!r}; try false")
        if not isinstance(self.report, bool):
            raise BadInput(f"logger.report must be true or false, got {self.report!r}; try true")
        if wrong := [tag for tag in self.tags if not 0 < len(tag) <= TAG_LENGTH]:
            raise BadInput(f"logger.tags have 1 to {TAG_LENGTH} characters each, got {wrong}; shorten or drop them")


class Tracker:
    """Sends figures to one run; does nothing without one, or after the first failure."""

    def __init__(self, run: "Run | None" = None, *, artifacts: bool = True) -> None:
        self._run = run
        self._artifacts = artifacts
        self._failed = False
        self._row_is_open = False

    @property
    def recorded(self) -> bool:
        """Whether there is a run, and everything so far was sent to it or written to its file."""
        return self._run is not None and not self._failed

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Adds a row to the history.

        Args:
            row: figures by name; rows of one step are merged.
            step: global optimizer step, which may not decrease: wandb drops rows older than the last.
        """
        self._send(lambda run: run.log({**row, "step": step}, step=step))
        self._row_is_open = True

    def show(self, make: Callable[[], Mapping[str, object]]) -> None:
        """Adds tables and charts.

        Args:
            make: returns them by name; called only where there is a run.
        """
        self._send(lambda run: run.log(dict(make())))

    def keep(self, make: Callable[[], "Artifact"], aliases: Sequence[str] = ()) -> None:
        """Records files as an output of the run.

        Args:
            make: returns the artifact; called only where artifacts are recorded.
            aliases: beside `latest`.
        """
        if self._artifacts:
            self._send(lambda run: run.log_artifact(make(), aliases=["latest", *aliases]))

    def use(self, name: str) -> None:
        """Links an artifact of the server as an input of the run, if it is there.

        wandb links online runs only: with later uploads, an artifact may arrive after the run that uses it.

        Args:
            name: with its alias.
        """
        if self._run is None or self._failed or not self._artifacts:
            return
        try:
            self._run.use_artifact(name)
        except Exception as error:  # offline, never logged, another project's: the run itself is unharmed
            log.info("Weights & Biases does not link %s to %s: %s", self._run.name, name, _reason(error))

    def summarise(self, figures: Mapping[str, object]) -> None:
        """Writes the summary of the run.

        Args:
            figures: by name; nested mappings become `outer/inner`. They replace those of the last row logged.
        """
        if self._row_is_open:  # left open, it would overwrite figures of the same name when the run closes
            self._send(lambda run: run.log({}, commit=True))
            self._row_is_open = False
        self._send(lambda run: run.summary.update(_flat(figures)))

    def _finish(self, exit_code: int) -> None:
        if self._run is not None:
            self._guard(lambda run: run.finish(exit_code=exit_code), self._run)

    def _mark_complete(self) -> None:
        """Marks an offline run as complete, and removes earlier ones of its id, of which it has every row.

        `wandb sync` appends the rows of each file of an id to those of the file before.
        """
        if self._run is None or not self._run.offline or not self.recorded:
            return
        own = Path(self._run.dir).parent
        for earlier in set(own.parent.glob(f"offline-run-*-{self._run.id}")) - {own}:
            if not any(earlier.glob("*.synced")):
                shutil.rmtree(earlier, ignore_errors=True)
        (own / COMPLETE).touch()

    def _send(self, action: Callable[["Run"], object]) -> None:
        if self._run is not None and not self._failed:
            self._guard(action, self._run)

    def _guard(self, action: Callable[["Run"], object], run: "Run") -> None:
        try:
            action(run)
        except Exception as error:
            if not self._failed:
                log.warning("Weights & Biases stopped recording %s, training goes on: %s", run.name, _reason(error))
            self._failed = True


@contextmanager
def wandb_run(
    settings: WandbSettings | None, *, name: str, fingerprint: str, job_type: str, config: Mapping[str, Any]
) -> Iterator[Tracker]:
    """Opens a run around the body and closes it with the body's exit code, also when the body raises.

    Args:
        settings: None gives a tracker that does nothing.
        name: shown in tables and legends, such as `response-T4-a0.7-s0`.
        fingerprint: of the cell or stage. The same fingerprint and group continue the same run.
        job_type: `cell` or `stage`.
        config: plain Python values, nested by key.

    Yields:
        The run's tracker.
    """
    identity = {"name": name, "job_type": job_type, "config": dict(config)}
    tracker = Tracker()
    if settings:
        tracker = Tracker(_open(settings, fingerprint, identity), artifacts=settings.artifacts)
    exit_code = 0
    try:
        yield tracker
    except BaseException as error:
        exit_code = _exit_code(error)
        raise
    finally:
        tracker._finish(exit_code)
        if exit_code == 0:
            tracker._mark_complete()


def run_id(fingerprint: str, group: str | None) -> str:
    """The run's id: the same for a resumed stage, another for the same stage in another sweep."""
    return hashlib.sha256(f"{group or ''}\n{fingerprint}".encode()).hexdigest()[:16]


def is_uploaded(settings: WandbSettings, fingerprint: str) -> bool:
    """Whether a finished run of that fingerprint is where these settings record: on the server, or in its folder.

    Args:
        settings: of the run; where nothing is recorded, nothing is left to upload.
        fingerprint: of the cell or stage.
    """
    identifier, how = run_id(fingerprint, settings.group), mode(settings.mode)
    if how == "online":
        return _state(settings, identifier) == "finished"
    return how == "disabled" or any((settings.directory / "wandb").glob(f"offline-run-*-{identifier}/{COMPLETE}"))


def has_credentials() -> bool:
    """Whether wandb has an API key or token for its server; the user is not prompted for one."""
    import wandb

    return _has_credentials(wandb.setup().settings)


def mode(explicit: str | None = None) -> str:
    """The mode in which a run is recorded with `logger=wandb`.

    Args:
        explicit: the setting `logger.mode`.
    """
    import wandb

    session = wandb.setup().settings
    return _possible(_requested(explicit, session), session)


def _state(settings: WandbSettings, identifier: str) -> str | None:
    import wandb

    path = "/".join(part for part in (settings.entity, settings.project, identifier) if part)
    try:
        return str(wandb.Api(timeout=API_TIMEOUT).run(path).state)
    except Exception as error:  # no such run; without a network, opening it says so
        log.info("Weights & Biases does not have the run %s: %s", path, _reason(error))
        return None


def _open(settings: WandbSettings, fingerprint: str, identity: dict[str, Any]) -> "Run | None":
    try:
        return _init(settings, run_id(fingerprint, settings.group), identity)
    except Exception as error:
        log.warning(
            "Weights & Biases does not record %s, training goes on: %s (the same command uploads it later; "
            "WANDB_MODE=offline needs no network, logger=csv turns it off)",
            identity["name"],
            _reason(error),
        )
        return None


def _init(settings: WandbSettings, identifier: str, identity: dict[str, Any]) -> "Run":
    import wandb

    settings.directory.mkdir(parents=True, exist_ok=True)
    defaults = {key: value for key, value in DEFAULTS.items() if f"WANDB_{key.upper()}" not in os.environ}
    session = wandb.setup(wandb.Settings(**defaults)).settings
    mode = _mode(settings.mode, session, identity["name"])
    # An offline file has the whole history, also of a resumed stage.
    options: dict[str, Any] = {"id": identifier, "mode": mode, "resume": None if mode == "offline" else "allow"}
    options["reinit"] = "create_new"  # by default init returns a run that is still open
    run = wandb.init(**identity, **_destination(settings), **options, settings=wandb.Settings(**defaults))
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _destination(settings: WandbSettings) -> dict[str, Any]:
    return {
        "project": settings.project,
        "entity": settings.entity,
        "tags": settings.tags or None,
        "group": settings.group,
        "notes": settings.notes,
        "dir": settings.directory,
    }


def _mode(explicit: str | None, session: "Settings", name: str) -> str:
    requested = _requested(explicit, session)
    mode = _possible(requested, session)
    if requested and mode != requested:
        log.warning("Weights & Biases has no API key: %s is recorded offline (run `wandb login`)", name)
    return mode


def _requested(explicit: str | None, session: "Settings") -> str | None:
    # `wandb offline` stores its mode in the session; "online" there is only the default.
    chosen = session.mode if session.mode != "online" else None
    return explicit or os.environ.get("WANDB_MODE") or chosen


def _possible(requested: str | None, session: "Settings") -> str:
    if requested not in (None, "online"):
        return str(requested)
    return "online" if _has_credentials(session) else "offline"


def _has_credentials(session: "Settings") -> bool:
    # wandb's own lookup: WANDB_API_KEY, an identity token, netrc, its settings file. The public wandb.login
    # would also write that settings file.
    from wandb.sdk.lib.wbauth import authenticate_session

    found = authenticate_session(host=session.base_url, source="kdlab", prompt=False, update_session=False)
    return found is not None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__  # a lost connection to wandb's process has no text


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return 255  # what wandb itself reports for Ctrl-C: the run was killed, it did not fail
    if isinstance(error, KdlabError):
        return error.exit_code
    if not isinstance(error, SystemExit) or isinstance(error.code, str):
        return 1
    return error.code or 0


def _flat(figures: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in figures.items():
        flat |= _flat(value, f"{prefix}{key}/") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
