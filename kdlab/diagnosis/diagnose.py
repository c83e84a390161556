"""Everything that the diagnosis looks at, section by section."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from kdlab.diagnosis.fact import Fact
from kdlab.diagnosis.folders import folders
from kdlab.diagnosis.machine import devices, threads
from kdlab.diagnosis.packages import extras, versions
from kdlab.tracking.wandb import has_credentials, mode

Sections = Mapping[str, Sequence[Fact]]


def diagnose(cfg: DictConfig) -> Sections:
    """The facts of each section.

    Args:
        cfg: of a run, whose folders and threads are shown.
    """
    return {
        "Versions": versions(),
        "Devices": devices(),
        "Threads": threads(cfg.hardware.threads),
        "Folders": folders(cfg.paths),
        "Weights & Biases": _tracking(cfg.logger.get("mode")),
        "Extras": extras(),
    }


def problems(sections: Sections) -> list[str]:
    """What would break a run, each with its fix."""
    return [fact.problem for facts in sections.values() for fact in facts if fact.problem]


def as_json(sections: Sections) -> dict[str, object]:
    """The same for a bug report; a fact has its value, and what else there is to it."""
    shown: dict[str, object] = {
        title: {fact.name: [text for text in (fact.value, fact.about, fact.problem) if text] for fact in facts}
        for title, facts in sections.items()
    }
    return {**shown, "problems": problems(sections)}


def _tracking(explicit: str | None) -> list[Fact]:
    key = has_credentials()
    return [
        Fact("API key", "found" if key else "none", "" if key else "wandb login stores one"),
        Fact("mode", mode(explicit), "of logger=wandb; without a key runs are recorded offline"),
    ]
