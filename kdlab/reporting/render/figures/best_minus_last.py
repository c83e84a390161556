"""Best minus last epoch: how optimistic the best validation figure of a run is."""

from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.figures.forest import Row, forest
from kdlab.reporting.render.figures.style import Picture


def best_minus_last(evidence: Evidence) -> Picture | None:
    """By how much the best epoch beats the last on validation, for each setting in the order of the table."""
    rows = [
        Row(setting.label, setting.figures["best_minus_last"], is_best=setting is evidence.best)
        for setting in evidence.settings
        if "best_minus_last" in setting.figures
    ]
    if len(rows) < 2:
        return None
    metric = evidence.task.headline
    largest = max(rows, key=lambda row: row.points.mean)
    alt = (
        f"Best minus last validation {metric.label} for {len(rows)} settings: at most {largest.points.mean:.2f} "
        f"{metric.gain_unit}, "
        f"of {largest.label}."
    )
    caption = (
        "Figures of a last epoch: choosing each run's best epoch by the same samples would look this much better. At "
        "zero the last epoch was the best."
    )
    figure = forest(rows, f"best minus last ({metric.gain_text('validation')})")
    return Picture("best-minus-last", figure, alt, caption)
