"""What the store spared: stages that several runs are made of were trained once."""

from collections.abc import Sequence

from kdlab.reporting.evidence import Run, Savings


def savings(runs: Sequence[Run]) -> Savings:
    """Distinct stages, and their seconds, against every run by itself."""
    seconds: dict[str, float] = {}
    alone: list[float] = []
    for run in runs:
        for place, stage in enumerate(run.result.get("stages") or ()):
            spent = float(stage.get("seconds") or 0)
            seconds[stage.get("fingerprint") or f"{run.path} {place}"] = spent
            alone.append(spent)
    return Savings(len(runs), len(seconds), len(alone), sum(seconds.values()), sum(alone))
