"""The directory of a run: its config, its log, its result, and links to its stages in the store."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.errors import Interrupted, KdlabError, StoppedEarly
from kdlab.jobs.job import Job
from kdlab.jobs.plan import Plan
from kdlab.runtime.result import failed_result
from kdlab.runtime.run import Result
from kdlab.store.atomic import check_writable, write_text_atomically
from kdlab.store.fingerprint import SHORT

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RunDirectory:
    """`<outputs>/<name>-<short plan fingerprint>`: the same command always has the same one.

    As a context it writes `train.log`, and a `result.json` of status `failed` when the body raises.

    Args:
        path: created when it is absent.
        config: the run's resolved config.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path, self.config = path, config

    @classmethod
    def of(cls, cfg: DictConfig, plan: Plan, overrides: Sequence[str]) -> "RunDirectory":
        """Creates the directory of a plan, with the config and overrides in `.hydra/`, to repeat the run.

        Args:
            cfg: of the run.
            plan: of the run.
            overrides: from which the config was composed.

        Raises:
            BadInput: `paths.outputs` cannot be written.
        """
        path = Path(cfg.paths.outputs) / f"{cfg.name}-{plan.fingerprint[:SHORT]}"
        check_writable(path, "paths.outputs")
        (path / ".hydra").mkdir(exist_ok=True)
        write_text_atomically(path / ".hydra" / "config.yaml", OmegaConf.to_yaml(cfg))
        write_text_atomically(path / ".hydra" / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
        return cls(path, plan.config)

    @classmethod
    def at(cls, path: str | Path, plan: Plan | Sequence[Job]) -> "RunDirectory":
        """Creates the directory of a plan, or of jobs, at a path.

        Raises:
            BadInput: it cannot be written.
        """
        check_writable(Path(path), "run_dir")
        return cls(Path(path), plan.config if isinstance(plan, Plan) else {})

    def finish(self, result: Result) -> None:
        """Writes `result.json` and links each job's folder by its name and by its role."""
        for name, folder in result.folders.items():
            link(self.path / name, folder)
        self._write(result.content)

    def __enter__(self) -> "RunDirectory":
        self._log = logging.FileHandler(self.path / "train.log")
        self._log.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(self._log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, Interrupted | StoppedEarly):
            logging.getLogger("run").error("%s", error, exc_info=None if isinstance(error, KdlabError) else error)
            error.add_note(f"its traceback is in {self.path / 'train.log'}")
            self._write(failed_result(str(error) or type(error).__name__, self.config))
        logging.getLogger().removeHandler(self._log)
        self._log.close()

    def _write(self, result: Mapping[str, Any]) -> None:
        write_text_atomically(self.path / "result.json", json.dumps(result, indent=2) + "\n")


def link(link: Path, target: Path) -> None:
    """Makes or replaces a relative link atomically; relative, so that outputs and store can move together."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
