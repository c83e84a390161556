"""Everything that the diagnosis looks at, section by section."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from kdlab.diagnosis.folders import folders
from kdlab.diagnosis.machine import devices, threads
from kdlab.diagnosis.packages import extras, versions
from kdlab.diagnosis.property import Property
from kdlab.tracking.wandb import has_credentials, mode

Sections = Mapping[str, Sequence[Property]]


def diagnose(cfg: DictConfig) -> Sections:
    """The properties of each section.

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
    return [one.problem for properties in sections.values() for one in properties if one.problem]


def as_json(sections: Sections) -> dict[str, object]:
    """The same for a bug report; a property has its value, and what else there is to it."""
    shown: dict[str, object] = {
        title: {one.name: [text for text in (one.value, one.about, one.problem) if text] for one in properties}
        for title, properties in sections.items()
    }
    return {**shown, "problems": problems(sections)}


def _tracking(explicit: str | None) -> list[Property]:
    key = has_credentials()
    return [
        Property("API key", "found" if key else "none", "" if key else "wandb login stores one"),
        Property("mode", mode(explicit), "of logger=wandb; without a key runs are recorded offline"),
    ]
