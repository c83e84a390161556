"""Learning curves of the runs, epoch by epoch."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from kdlab.reporting.collect.history import Column, history
from kdlab.reporting.evidence import Evidence, Setting
from kdlab.reporting.render.figures.style import ACCENT, FAINT, INK, MUTED, Picture, drawing, single

MOST_THIN = 24
MOST_TERMS = 6
TRAIN = "train/"
Histories = Sequence[dict[str, Column]]


def curves(evidence: Evidence) -> list[Picture]:
    """The headline metric of student and baseline on validation, and each term of the student's loss, by epoch.

    One setting is shown in full: the best, or the first where nothing may be ranked. Of the others some are drawn
    thin, spread evenly over the ranking.
    """
    shown = evidence.best or next(iter(evidence.settings), None)
    if shown is None:
        return []
    others = _spread([setting for setting in evidence.settings if setting is not shown])
    thin = [found for one in others for run in one.runs[:1] if (found := history(run.path / "student"))]
    students, baselines = (
        [found for run in shown.runs if (found := history(run.path / role))] for role in ("student", "baseline")
    )
    left_out = len(evidence.settings) - 1 - len(thin)
    pictures = (
        _headline(shown, students, baselines, thin, left_out),
        _terms(shown, students, baselines, thin),
    )
    return [picture for picture in pictures if picture]


def _spread(settings: Sequence[Setting]) -> list[Setting]:
    if len(settings) <= MOST_THIN:
        return list(settings)
    return [settings[index] for index in np.linspace(0, len(settings) - 1, MOST_THIN).round().astype(int)]


def _headline(
    shown: Setting, students: Histories, baselines: Histories, thin: Histories, left_out: int
) -> Picture | None:
    key, metric = shown.task.objective, shown.task.headline
    if not any(key in found for found in students):
        return None
    figure, axes = single()
    _draw(axes, key, students, baselines, thin)
    title = metric.axis("validation")
    axes.set(xlabel="epoch", title=f"{title[0].upper()}{title[1:]}")
    axes.legend(loc="best")
    last = {name: _last(found, key) for name, found in (("student", students), ("baseline", baselines))}
    ends = ", ".join(f"{name} {metric.show(value)}" for name, value in last.items() if value is not None)
    alt = f"Validation {metric.label} by epoch of {shown.label or 'the run'}; after the last epoch: {ends}."
    return Picture(f"curves-{metric.name}", figure, alt, _caption(shown, thin, left_out))


def _caption(shown: Setting, thin: Histories, left_out: int) -> str:
    parts = [f"Thick: {shown.label}, one line a seed." if shown.label else "One line a seed."]
    if thin:
        some = f"{len(thin)} of the {len(thin) + left_out}" if left_out else "the"
        parts.append(f"Thin: {some} other settings, one seed each.")
    return " ".join(parts)


def _terms(shown: Setting, students: Histories, baselines: Histories, thin: Histories) -> Picture | None:
    names = [key for key in (students[0] if students else {}) if key.startswith(TRAIN)][:MOST_TERMS]
    names = names if len(names) != 2 else names[1:]  # the only term is the loss
    if not names:
        return None
    figure, panels = drawing(0.8 + 1.3 * len(names), len(names))
    for index, (axes, name) in enumerate(zip(panels, names, strict=True)):
        _draw(axes, name, students, baselines, thin)
        axes.set_title(name.removeprefix(TRAIN))
        axes.tick_params(labelbottom=index == len(names) - 1)
    panels[-1].set_xlabel("epoch")
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)  # it covers no line
    ends = ", ".join(f"{name.removeprefix(TRAIN)} {_last(students, name):.4g}" for name in names)
    alt = f"Training loss of {shown.label or 'the run'} and its terms by epoch; in the last epoch: {ends}."
    return Picture("curves-terms", figure, alt, "Terms before they are weighted; the loss is their weighted sum.")


def _draw(axes: Axes, key: str, students: Histories, baselines: Histories, thin: Histories) -> None:
    for found in thin:
        _plot(axes, found, key, color=FAINT, linewidth=0.7, alpha=0.7, zorder=2)
    for index, found in enumerate(baselines):
        _plot(axes, found, key, color=INK, linewidth=1.3, linestyle=(0, (4, 2)), label=_once("baseline", index))
    for index, found in enumerate(students):
        _plot(axes, found, key, color=ACCENT, linewidth=1.8, label=_once("student", index))
    axes.locator_params(axis="x", integer=True)
    axes.tick_params(colors=MUTED)


def _once(label: str, index: int) -> str | None:
    return label if index == 0 else None


def _plot(axes: Axes, found: Mapping[str, Column], key: str, **look: object) -> None:
    if key not in found or "epoch" not in found:
        return
    there = np.isfinite(found[key])
    marker = "o" if there.sum() == 1 else None
    axes.plot(found["epoch"][there], found[key][there], marker=marker, markersize=4, **look)  # type: ignore[arg-type]


def _last(histories: Histories, key: str) -> float | None:
    ends = [found[key][np.isfinite(found[key])] for found in histories if key in found]
    values = [end[-1] for end in ends if len(end)]
    return float(np.mean(values)) if values else None
