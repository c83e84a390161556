"""What the reuse of stages saved: a stage that several runs share is trained once."""

from collections.abc import Sequence

from kdlab.reporting.evidence import Run, Savings


def savings(runs: Sequence[Run]) -> Savings:
    """Compares the training of distinct stages with that of every run without reuse."""
    seconds: dict[str, float] = {}
    outputs: dict[str, tuple[int, int]] = {}
    all_seconds: list[float] = []
    for run in runs:
        for index, stage in enumerate(run.result.get("stages") or ()):
            spent = float(stage.get("seconds") or 0)
            name = stage.get("fingerprint") or f"{run.path} {index}"
            seconds[name] = spent
            outputs[name] = (stage.get("teacher_forwards") or 0, stage.get("teacher_recalls") or 0)
            all_seconds.append(spent)
    forwards, hits = (sum(counts) for counts in zip((0, 0), *outputs.values(), strict=True))
    trained, without_reuse = sum(seconds.values()), sum(all_seconds)
    return Savings(len(runs), len(seconds), len(all_seconds), trained, without_reuse, forwards + hits, hits)
