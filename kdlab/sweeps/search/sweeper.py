"""The Hydra sweeper that samples its cells with an optuna study: `hydra/sweeper=optuna`."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from kdlab.errors import BadInput
from kdlab.runtime.sweep_records import Cell, read_cells
from kdlab.store.fingerprint import fingerprint
from kdlab.sweeps.question import NOT_IN_IDENTITY

if TYPE_CHECKING:
    from kdlab.sweeps.search.space import Space
    from kdlab.sweeps.search.study import Search
    from kdlab.tasks.description import Description


class OptunaSweeper(Sweeper):
    """Runs `n_trials` cells, a batch at a time; each batch is sampled from the results of earlier ones.

    A trial has the number of its cell, whose record has its status and its run directory.

    Args:
        n_trials: in all, those of earlier starts included.
        n_jobs: trials at a time; None is as many as the launcher runs.
        seed: of the sampler.
        random_trials: how many are sampled at random before the space is modelled.
        pruning: when trials are stopped early, see `kdlab.sweeps.search.pruning`.
        params: what varies and what is fixed, as in overrides.
    """

    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher
    is_search: ClassVar = True
    TARGET: ClassVar = "hydra_plugins.kdlab.OptunaSweeper"  # Hydra finds sweepers only in that package

    def __init__(
        self,
        *,
        n_trials: int,
        n_jobs: int | None,
        seed: int,
        random_trials: int,
        pruning: Mapping[str, Any],
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.n_trials, self.n_jobs, self.seed, self.random_trials = n_trials, n_jobs, seed, random_trials
        self.pruning, self.params = pruning, params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes Hydra's context and config, and makes the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the search, or continues it.

        Args:
            arguments: the overrides of the command line.

        Raises:
            BadInput: a setting is out of its range, a search must not choose a key that varies, or there is no
                validation set.
        """
        if importlib.util.find_spec("optuna") is None:
            raise BadInput(
                "hydra/sweeper=optuna: optuna is not installed. Install it with: pip install 'kdlab[search]'"
            )
        from kdlab.sweeps.search.space import Space

        self._check_settings()
        overrides = self._overrides(arguments)
        space = Space.of(override for override in overrides if override.is_sweep_override())
        self._check_held_out(overrides)
        self._search(space, [str(override.input_line) for override in overrides if not override.is_sweep_override()])

    def _overrides(self, arguments: Sequence[str]) -> list[Override]:
        """Those of the sweep's file and those that were typed, which win."""
        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        parsed = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(lines)
        return list({override.get_key_element().lstrip("+"): override for override in parsed}.values())

    def _search(self, space: "Space", fixed: Sequence[str]) -> None:
        from kdlab.sweeps.search.conclusion import conclusion, shared_settings
        from kdlab.sweeps.search.journal import search_lock
        from kdlab.sweeps.search.study import Search

        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        with search_lock(folder):
            sampling = {"seed": self.seed, "random_trials": self.random_trials}
            search = Search.begin(folder, space, self._identity(), **sampling, task=self._task())
            self._run(search, fixed)
        print(conclusion(search, shared_settings(self.config, fixed, self.hydra_context.config_loader)))

    def _task(self) -> "Description":
        """The task of the data, which are the same for all trials."""
        from kdlab.jobs.training.parts import make_task

        settings: Any = OmegaConf.to_container(self.config.data, resolve=True)
        return make_task(settings).description

    def _identity(self) -> str:
        settings: Any = OmegaConf.to_container(self.config, resolve=False)
        return fingerprint({key: value for key, value in settings.items() if key not in NOT_IN_IDENTITY})

    def _run(self, search: "Search", fixed: Sequence[str]) -> None:
        from joblib import effective_n_jobs

        size = self.n_jobs or effective_n_jobs(self.config.hydra.launcher.get("n_jobs") or 1)
        while batch := search.next_batch(size, self.n_trials):
            self._launch({trial.number: [*fixed, *search.space.overrides(trial.params)] for trial in batch})
            ended = read_cells(search.folder)
            for trial in batch:
                search.conclude(trial.number, ended.get(trial.number))

    def _launch(self, batch: Mapping[int, Sequence[str]]) -> None:
        """Runs the cells that have not ended; one call of the launcher numbers its cells consecutively."""
        records = read_cells(Path(self.config.hydra.sweep.dir))
        due = [number for number, lines in batch.items() if not _is_done(records.get(number), lines)]
        self.validate_batch_is_legal([batch[number] for number in due])
        for numbers in _consecutive(due):
            for job in self.launcher.launch([batch[number] for number in numbers], initial_job_idx=numbers[0]):
                _ = job.return_value  # raises what the job raised

    def _check_settings(self) -> None:
        from kdlab.jobs.stages import check_whole

        check_whole("hydra.sweeper.n_trials", self.n_trials, 1)
        check_whole("hydra.sweeper.n_jobs", 1 if self.n_jobs is None else self.n_jobs, 1)
        check_whole("hydra.sweeper.seed", self.seed, 0)
        check_whole("hydra.sweeper.random_trials", self.random_trials, 1)
        for name in ("n_startup_trials", "n_warmup_epochs"):
            check_whole(f"hydra.sweeper.pruning.{name}", self.pruning[name], 0)

    def _check_held_out(self, overrides: Sequence[Override]) -> None:
        """Checks every option of the search for a validation set: nothing may be chosen on the test set."""
        from kdlab.config.overrides import cells, group_names

        options = [one for one in overrides if not one.is_sweep_override() or one.key_or_group in group_names()]
        for lines in cells(options):
            cell = self.hydra_context.config_loader.load_sweep_config(self.config, lines)
            if OmegaConf.select(cell, "data.val_fraction") == 0:
                raise BadInput(
                    f"hydra/sweeper=optuna chooses on {self._task().objective}, so data.val_fraction must be above 0, "
                    f"got {cell.data.val_fraction}. Set data.val_fraction=0.1."
                )


def use_sweeper() -> None:
    """Registers the sweeper of `hydra/sweeper=optuna` with Hydra."""
    Plugins.instance().class_name_to_class[OptunaSweeper.TARGET] = OptunaSweeper


def _is_done(record: Cell | None, lines: Sequence[str]) -> bool:
    """Whether a cell ended, also if its sweep was killed before it recorded that."""
    return record is not None and record.status in ("finished", "stopped") and record.overrides == tuple(lines)


def _consecutive(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Runs of consecutive numbers, from rising ones."""
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run
