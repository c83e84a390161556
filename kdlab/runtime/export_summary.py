"""What the `result.json` of a run keeps of its export. Free of torch, so that reports can make it too."""

from collections.abc import Iterator, Mapping
from typing import Any

from kdlab.tasks.description import Description

Content = Mapping[str, Any]
OF_PROOF = ("drop", "agreement")


def export_summary(export: Content, folder: str | None) -> dict[str, Any]:
    """An export in a few fields.

    Args:
        export: the fields of its `result.json`.
        folder: of the export, relative to the run directory; None where nothing was written.

    Returns:
        `recommended`, the artifact to ship and its engine, with `p50` in seconds at the deciding batch and threads,
        `size_bytes` and its metric on test, or None; `fastest`, the same of the fastest that is not refused, whatever
        the budgets; `refused`, reasons by artifact; `over_budget`, what each candidate misses; `within_budget`, None
        without budgets; `complete`, whether nothing is refused and one is recommended; `cpu`, where it
        was measured; `folder`.
    """
    best, candidates = export["recommended"], list(_candidates(export))
    over = {name: missed for name, missed in export.get("budgets", {}).items() if missed}
    chosen = (
        one for one in candidates if best and (one["artifact"], one["engine"]) == (best["artifact"], best["engine"])
    )
    return {
        "recommended": next(chosen, None),
        "fastest": min(candidates, key=lambda one: one["p50"], default=None),
        "refused": dict(export["refused"]),
        "over_budget": over,
        "within_budget": bool(best) if export["latency"] and "budgets" in export else None,
        "complete": is_complete(export),
        "cpu": (export["machine"] or {}).get("cpu"),
        "folder": folder,
    }


def shipped(summary: Content) -> Content | None:
    """The recommended artifact of a summary; where none meets the budgets the fastest; None where all are refused."""
    found: Content | None = summary.get("recommended") or summary.get("fastest")
    return found


def is_complete(export: Content) -> bool:
    """Whether nothing is refused and, of the artifacts that were measured, one is recommended."""
    return not export["refused"] and bool(export["recommended"] or not export["latency"])


def _candidates(export: Content) -> Iterator[dict[str, Any]]:
    """Artifacts that are not refused, in the engines in which they were measured at the deciding batch and threads."""
    outcome, deciding = Description.of(export).outcome, export["deciding"]
    latency = {(one["name"], one["engine"]): one for one in export["latency"] if deciding.items() <= one.items()}
    made = {one["artifact"]: one for one in export["artifacts"]}
    for proof in export["pairs"]:
        name, engine = proof["artifact"], proof["engine"]
        if name not in export["refused"] and "p50" in latency.get((name, engine), {}):
            own = {"precision": made[name]["precision"], "size_bytes": made[name]["size_bytes"]}
            figures = {name: proof[name] for name in (outcome, *OF_PROOF)}
            yield {
                "artifact": name,
                "engine": engine,
                **own,
                "p50": latency[name, engine]["p50"],
                **deciding,
                **figures,
            }
