"""What the store spared: stages that several runs are made of were trained once."""

from collections.abc import Sequence

from kdlab.reporting.evidence import Run, Savings


def savings(runs: Sequence[Run]) -> Savings:
    """Distinct stages, and their seconds, against every run by itself."""
    seconds: dict[str, float] = {}
    answers: dict[str, tuple[int, int]] = {}
    alone: list[float] = []
    for run in runs:
        for place, stage in enumerate(run.result.get("stages") or ()):
            spent = float(stage.get("seconds") or 0)
            name = stage.get("fingerprint") or f"{run.path} {place}"
            seconds[name] = spent
            answers[name] = (stage.get("teacher_forwards") or 0, stage.get("teacher_recalls") or 0)
            alone.append(spent)
    forwards, recalls = (sum(counts) for counts in zip((0, 0), *answers.values(), strict=True))
    return Savings(len(runs), len(seconds), len(alone), sum(seconds.values()), sum(alone), forwards + recalls, recalls)
