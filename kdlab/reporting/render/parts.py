"""What all pages are made with: the templates, and pictures inside a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdlab.reporting.render.figures.style import Picture, save
from kdlab.reporting.render.svg import inlined


@dataclass(frozen=True)
class InlinePicture:
    """A picture in the page: its SVG and its caption."""

    name: str
    svg: Markup
    caption: str


def inline(pictures: Iterable[Picture], plots: Path) -> tuple[InlinePicture, ...]:
    """Saves pictures as SVG and PNG, and returns them as parts of a page.

    Args:
        pictures: drawn in the report's style.
        plots: the folder of the files.
    """
    return tuple(
        InlinePicture(picture.name, inlined(save(picture, plots), picture.name, picture.alt), picture.caption)
        for picture in pictures
    )


def environment() -> Environment:
    """The templates of pages."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
