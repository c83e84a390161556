"""Pictures inside the page, with unique identifiers and colours that follow light and dark mode."""

import re
from xml.etree import ElementTree

from markupsafe import Markup

from kdlab.reporting.render.figures.style import COLOURS

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)
DROPPED = {f"{{{SVG}}}{name}" for name in ("metadata", "style", "title")}
"""Removed in a page: it describes pictures otherwise, and styles would affect the whole page."""


def inlined(svg: str, name: str, alt: str) -> Markup:
    """A picture as part of a page.

    Args:
        svg: as matplotlib writes it, in the colours of the report.
        name: of the picture; makes identifiers unique in the page.
        alt: what it shows.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in DROPPED]:
            parent.remove(child)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _adapted(key, value, name))
    del root.attrib["width"], root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": alt, "class": "plot"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _adapted(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href") and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if key == "style":
        for colour, code in COLOURS.items():
            value = value.replace(code, f"var(--{colour})")
    return re.sub(r"url\(#", f"url(#{name}-", value)
