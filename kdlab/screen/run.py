"""The screen output of a run: a bar for each job, a line when it is finished, and one table at the end."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlab.data.image.resemblance import transfer_warning
from kdlab.jobs.events import Event, Failed, Finished, Progress, Started, Waiting
from kdlab.jobs.plan import Plan
from kdlab.jobs.plan_remarks import plan_remarks
from kdlab.jobs.training.hardware import precision_of_teachers
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.stage import Stage
from kdlab.reporting.render.console import Printer
from kdlab.reporting.render.magnitude import scaled
from kdlab.screen.export import show_summary
from kdlab.screen.outcome import outcome
from kdlab.screen.progress import Bar, Lines, has_bars, log
from kdlab.tasks.description import Description

ROLES = ("teacher", "baseline", "control", "student", "ensemble")
LEARNERS = {"teacher": "model.teacher.train.epochs", "baseline": "epochs"}  # and the setting of their training length


class Screen:
    """A listener that prints to the terminal; without one, plain lines instead of bars. What happens is logged as well.

    Args:
        console: to print on; None is the terminal.
        brief: for a cell of a sweep, whose figures are in the sweep's report: only what is trained, and the result.
    """

    def __init__(self, console: Console | None = None, brief: bool = False) -> None:
        self.console = console or Printer()
        self.brief = brief
        self._bar: Bar | None = None
        self._lines = Lines()

    def __call__(self, event: Event) -> None:
        """Prints an event."""
        match event:
            case Waiting(job, reason):
                self.print(f"  {job.name:<10} {reason}")
                log(f"{job.name} {reason}")
            case Started(job):
                self._bar = Bar(self.console, job.name) if has_bars(self.console) else None
                log(f"{job.name} started")
            case Progress():
                self._show(event)
            case Finished(job, _, figures, reused):
                self._close_bar()
                outcome_text = job.outcome(figures, reused)
                self.console.print(f"[green]✓[/] {job.name:<10} {outcome_text}")
                log(f"{job.name} {outcome_text}")
            case Failed():
                self._close_bar()

    def print(self, text: str) -> None:
        """Prints one line."""
        self.console.print(text)

    def _show(self, event: Progress) -> None:
        if self._bar:
            self._bar.show(event)
        line = self._lines.line(event)
        if line and not self._bar:
            self.console.print(line, markup=False)

    def _close_bar(self) -> None:
        if self._bar:
            self._bar.close()
        self._bar = None

    def opening(self, folder: Path, plan: Plan, typed: Sequence[str] = ()) -> None:
        """Prints networks, data and remarks of a plan; `typed` are the overrides of the command line."""
        if not self.brief:
            lineage = f"{_lineage(plan.student)} on {_data_name(plan.student.data)}"
            precision = precision_of_teachers(plan.student) if plan.student.teachers else "float32"
            precision = "" if precision == "float32" else f", teacher in {precision}"
            self.console.print(f"[bold]{folder.name}[/]  {lineage}{precision}")
            log(f"{lineage}{precision}")
        warning = transfer_warning(make_data(plan.student.data))
        for line in [*([warning] if warning else []), *([] if self.brief else plan_remarks(plan, typed))]:
            self.console.print(line, style="yellow", markup=False)

    def closing(self, folder: Path, result: Mapping[str, Any]) -> None:
        """Prints the run's figures, one column a network, its conclusions, and the path of the result."""
        if self.brief:
            self.console.print(f"  {escape(outcome(result))}  [dim]{folder}[/]")
            return
        self.console.print()
        columns = {role: result[role] for role in ROLES if result.get(role)}
        self.console.print(figures_table({**columns, **result.get("references", {})}, result))
        for key, table in (("steps", steps_table), ("generations", generations_table)):
            if result.get(key):
                self.console.print()
                self.console.print(table(result[key], Description.of(result)))
        for line in conclusions(result):
            self.console.print(line)
        for hint in result["hints"]:
            self.console.print(hint, markup=False)
        if all(stage["reused"] for stage in result["stages"]):
            self.console.print("Every stage was in the store already: nothing was trained.")
        self.console.print(f"[dim]{folder}/result.json[/]")
        if export := result.get("export"):
            show_summary(self.console, export, folder)


def figures_table(networks: Mapping[str, Mapping[str, Any]], result: Mapping[str, Any] | None = None) -> Table:
    """Networks as columns, figures as rows.

    Args:
        networks: figures by the name of the network, as in `result.json`.
        result: gives the task, and adds the rows that compare with the teacher.
    """
    table, result = _table(*networks), result or {}
    for label, key, show in _rows(Description.of(result)):
        if any(figures.get(key) is not None for figures in networks.values()):
            table.add_row(label, *(_cell(figures.get(key), show) for figures in networks.values()))
    if result.get("agreement") is not None:
        agreement = {"baseline": result["agreement_baseline"], "student": result["agreement"]}
        table.add_row("agrees with teacher", *(_cell(agreement.get(name), _percent) for name in networks))
    return table


def steps_table(steps: Sequence[Mapping[str, Any]], task: Description) -> Table:
    """The steps of a cascade as rows, of which there may be many."""
    costs = ["FLOPs"] if any(step["figures"].get("flops") for step in steps) else []
    table = _table("network", "parameters", "smaller by", *costs, "epochs", task.headline.heading("test"))
    for step in steps:
        size = [scaled(step["params"]), f"{step['ratio']:.1f}×"]
        size += [_cell(step["figures"].get("flops"), scaled) for _ in costs]
        reached = task.headline.show(step["figures"][task.outcome])
        table.add_row(step["name"], step["network"]["name"], *size, str(step["epochs"]), reached)
    return table


def generations_table(generations: Sequence[Mapping[str, Any]], task: Description) -> Table:
    """The generations of a born-again run as rows."""
    shown = task.metrics[:2]
    table = _table("epochs", *(metric.heading("test") for metric in shown))
    for number, found in enumerate(generations, 1):
        cells = (metric.show(found[f"test/{metric.name}"]) for metric in shown)
        table.add_row(f"generation{number}", str(found["epochs"]), *cells)
    return table


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for header in headers:
        table.add_column(header, justify="right", overflow="fold")
    return table


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """The sentences below the table; warnings that put all other figures in doubt come first."""
    gain = result.get("gain")
    lines = [*_below_references(result)]
    lines += [] if gain is None else [f"\n{_gain(gain, result)}"]
    lines += [*_over_control(result), *_over_last_generation(result), *_companions(result), *_change(result)]
    if gain is None:
        return lines
    lines.append(_budget(result))
    teacher, task = result["teacher"] if not result.get("generations") else None, Description.of(result)
    if teacher and task.headline.gain(teacher[task.outcome], result["baseline"][task.outcome]) < 0:
        lines.append(
            "[bold red]The teacher is worse than the baseline.[/] A student should not copy it: train it longer "
            "(model.teacher.train.epochs=…) or give it weights (model.teacher.checkpoint=…)."
        )
    return lines


def _below_references(result: Mapping[str, Any]) -> list[str]:
    """Teachers and baselines that are no better than a predictor without a network."""
    task = Description.of(result)
    return [
        f"\n[bold red]The {role} is no better than the {name}[/] ({task.headline.show(result[role][task.outcome])} "
        f"against {task.headline.show(row[task.outcome])} on test): it has learned nothing yet. Train it longer "
        f"({key}=…), or look at its learning rate."
        for name, row in result.get("references", {}).items()
        for role, key in LEARNERS.items()
        if result.get(role) and task.headline.gain(result[role][task.outcome], row[task.outcome]) <= 0
    ]


def _gain(gain: float, result: Mapping[str, Any]) -> str:
    found = f"{gain:+.2f} {Description.of(result).headline.gain_text('test')}"
    if result.get("generations"):
        return f"[bold]gain over generation 1 {found}[/]"
    if result.get("pruning") or result.get("quantisation"):
        return f"[bold]gain over fine-tuning with labels only {found}[/]"
    recovered = result["gap_recovered"]
    share = f", {100 * recovered:.0f} % of the gap to the teacher" if recovered is not None and gain > 0 else ""
    return f"[bold]gain from distillation {found}[/]{share}"


def _over_control(result: Mapping[str, Any]) -> list[str]:
    gain = result.get("gain_over_control")
    if gain is None:
        return []
    other = "labels only" if result.get("generations") else "the teacher in one step"
    unit = Description.of(result).headline.gain_unit
    return [f"gain over {result['control']['epochs']} epochs with {other} {gain:+.2f} {unit}"]


def _over_last_generation(result: Mapping[str, Any]) -> list[str]:
    ensemble = result.get("ensemble")
    if not ensemble:
        return []
    task, count = Description.of(result), len(result["generations"])
    reached = ensemble[task.outcome]
    more = task.headline.gain(reached, result["student"][task.outcome])
    every = f"all {count} generations together (mean {ensemble['from']})"
    return [f"{every} {task.headline.show(reached)}, {more:+.2f} {task.headline.gain_unit} over the last of them"]


def _budget(result: Mapping[str, Any]) -> str:
    """How far the gain can be trusted: most gains shrink as the student without a teacher trains on."""
    epochs = sum(stage["epochs"] for stage in result.get("steps") or [result["student"]])
    return f"One seed, {epochs} epochs: +sweeps=seeds gives it error bars, a longer budget may shrink it."


def _companions(result: Mapping[str, Any]) -> list[str]:
    """The networks that were trained together with the student."""
    task = Description.of(result)
    return [
        f"trained together with it: {name}, {task.headline.show(figures[task.outcome])} of test {task.headline.label}"
        for name, figures in result.get("companions", {}).items()
    ]


def _change(result: Mapping[str, Any]) -> list[str]:
    """What pruning or quantisation changed, and what it cost."""
    pruning, quantisation = result.get("pruning"), result.get("quantisation")
    change = pruning or quantisation
    if not change:
        return []
    cost = f"{change['gain']:+.2f} {Description.of(result).headline.gain_unit}"
    against = f"{cost} against the {change['of']} network"
    if not pruning:
        return [f"quantised: weights and activations of 8 bits, as its INT8 file computes; {against}"]
    if not pruning["structured"]:
        return [f"pruned: {_share(pruning['sparsity'])} of the weights are zero, no smaller and no faster; {against}"]
    names = {"flops": "FLOPs", "params": "parameters", "size_bytes": "bytes"}
    removed = ", ".join(f"{_share(pruning[f'{key}_removed'])} fewer {name}" for key, name in names.items())
    return [f"pruned: {removed}; {against}"]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _data_name(data: Mapping[str, Any]) -> str:
    name = str(data["_target_"]).rpartition(".")[2]
    return f"{_data_name(data['of'])}, from images of {_data_name(data['images'])}" if name == "Transfer" else name


def _lineage(stage: Stage) -> str:
    """A network after its teachers, such as `resnet56 → resnet20 → resnet8`."""
    above = " + ".join(_lineage(teacher) for teacher, _ in stage.teachers)
    own = f"{stage.network['name']}{f' {stage.start.made}' if stage.start else ''}"
    return f"{above} → {own}" if above else own


def _cell(value: Any, show: Callable[[Any], str]) -> str:
    return "–" if value is None else show(value)


def _percent(value: float) -> str:
    return f"{value:.2f} %"


def _rows(task: Description) -> Sequence[tuple[str, str, Callable[[Any], str]]]:
    """Heading, figure and how it is shown."""
    measured = [(metric, "test", f"test/{metric.name}") for metric in task.metrics]
    measured.append((task.headline, "validation", task.objective))
    return [*((metric.heading(split), key, metric.show) for metric, split, key in measured), *COSTS]


COSTS: Sequence[tuple[str, str, Callable[[Any], str]]] = (
    ("parameters", "params", scaled),
    ("FLOPs per sample", "flops", scaled),
    ("size (bytes)", "size_bytes", scaled),
    ("training samples/s", "samples_per_second", lambda value: f"{value:.0f}"),
    ("seconds, with evaluation", "seconds", lambda value: f"{value:.1f}" if value else "–"),
)
