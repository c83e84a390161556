"""A sweep on the screen: its progress while it runs, and at its end the failed cells."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from kdlab.reporting.render.console import Printer
from kdlab.reporting.render.magnitude import duration
from kdlab.runtime.sweep_records import Cell, Sweep, read_cell, read_cells, read_sweep
from kdlab.screen.outcome import outcome
from kdlab.sweeps.cell import sweep_folder
from kdlab.sweeps.progress import Progress

POLL_SECONDS = 0.5
OUTCOMES = {"finished": "[green]✓[/]", "failed": "[red]✗[/]", "stopped": "[yellow]–[/]"}


class SweepView:
    """Shows one start of a sweep.

    Args:
        sweep: whose records are read.
        is_new: whether a record belongs to this start, not to an earlier one.
        console: to print on; standard output by default.
    """

    def __init__(self, sweep: Sweep, is_new: Callable[[Cell], bool], console: Console | None = None) -> None:
        self.sweep, self.is_new = sweep, (lambda cell: True) if sweep.is_search else is_new
        self.console = console or Printer()
        self._shown: set[int] = set()

    def progress(self) -> Progress:
        """The progress now, from the records."""
        return Progress.of(self.sweep.folder, self.sweep.cells, self.is_new)

    def opening(self) -> None:
        """Prints the question and the number of cells."""
        if self.sweep.question:
            self.console.print(f"[bold]{escape(self.sweep.question)}[/]")
        cells = self.sweep.cells
        count = f"{cells} cell{'s' if cells > 1 else ''}" if cells else "as many cells as the sweeper runs"
        self.console.print(f"{self.sweep.folder.name}: {count}\n")

    def show_ended(self, progress: Progress) -> None:
        """Prints a line for each cell that ended since the last call."""
        for cell in progress.ended:
            if cell.cell not in self._shown:
                self._shown.add(cell.cell)
                self.console.print(cell_line(cell, self.sweep))

    def follow(self, ended: Callable[[float], bool]) -> None:
        """Prints a line for each ended cell and, on a terminal, the progress, until the sweep has ended.

        Args:
            ended: waits for that many seconds at most, and returns whether the sweep has ended.
        """
        with Live(console=self.console, transient=True, auto_refresh=self.console.is_terminal) as live:
            while not ended(POLL_SECONDS):
                progress = self.progress()
                self.show_ended(progress)
                if self.console.is_terminal:
                    live.update(Spinner("dots", str(progress)))
        self.show_ended(self.progress())

    def closing(self, progress: Progress) -> None:
        """Prints how many cells finished, and every failure with its error."""
        total = self.sweep.cells or len(progress.cells)
        self.console.print(f"\n{len(progress.with_status('finished'))} of {total} cells finished")
        if stopped := len(progress.with_status("stopped")):
            self.console.print(f"{stopped} stopped early by the search")
        for cell in progress.with_status("failed"):
            self.console.print(f"  [red]failed:[/] {escape(own_overrides(cell, self.sweep))}")
            self.console.print(f"          {cell.error}", markup=False)
        if progress.missing and self.sweep.cells:
            self.console.print(f"  [red]not finished:[/] {progress.missing}. The same command runs what is missing.")


@contextmanager
def following(sweep: Sweep) -> Iterator[SweepView]:
    """Shows a sweep while the body runs it; cells that run in this process print their own progress."""
    before, stop = read_cells(sweep.folder), threading.Event()
    view = SweepView(sweep, lambda cell: cell != before.get(cell.cell))
    view.opening()
    thread = threading.Thread(target=view.follow, args=(stop.wait,), daemon=True)
    if sweep.is_parallel:
        thread.start()
    try:
        yield view
    except KeyboardInterrupt:
        view.console.print(f"\n{view.progress()}")
        raise
    finally:
        stop.set()
        if sweep.is_parallel:
            thread.join()


def announce_cell() -> None:
    """Prints which cell of a sweep this process begins, and the sweep's progress; outside sweeps, nothing."""
    folder = sweep_folder()
    if folder is None:
        return
    sweep, start = read_sweep(folder)
    cell = read_cell(folder, int(HydraConfig.get().job.num))
    progress = SweepView(sweep, start.began).progress()
    Printer().print(f"\n[bold]{_number(cell, sweep)}[/]  {escape(own_overrides(cell, sweep))}  [dim]{progress}[/]")


def cell_line(cell: Cell, sweep: Sweep) -> str:
    """How one cell ended, such as `✓ cell 3 of 12  loss.temperature=4  98.40 %, gain +5.60`."""
    ended = f"{OUTCOMES[cell.status]} {_number(cell, sweep)}  {escape(own_overrides(cell, sweep))}"
    took = f"[dim]{duration((cell.ended or cell.started) - cell.started)}[/]"
    return f"{ended}  {_outcome(cell, sweep.folder)}  {took}"


def _number(cell: Cell, sweep: Sweep) -> str:
    return f"cell {cell.cell + 1}" + (f" of {sweep.cells}" if sweep.cells else "")


def own_overrides(cell: Cell, sweep: Sweep) -> str:
    """The overrides that distinguish a cell from the others of its sweep."""
    return " ".join(line for line in cell.overrides if line.partition("=")[0].lstrip("+") in sweep.varied)


def _outcome(cell: Cell, folder: Path) -> str:
    if cell.error:
        return escape(cell.error.splitlines()[0])
    if cell.status != "finished" or not cell.run:
        return "stopped early"
    return escape(outcome(json.loads((folder / cell.run / "result.json").read_text())))
