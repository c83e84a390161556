"""The screen output of an evaluation on corrupted images."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from kdlab.reporting.analyse.robustness import sentences
from kdlab.settings.corruption import CLEAN


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str], None]]:
    """On a terminal a line that names the corruption whose images are predicted; gone at the end."""
    if not console.is_terminal:
        yield lambda name: None
        return
    with console.status("") as status:
        yield lambda name: status.update(f"{_words(name)} …")


def show_robustness(console: Console, content: Mapping[str, Any]) -> None:
    """Prints the accuracy of each network on each corruption, and what that means.

    Args:
        console: to print on.
        content: of `robustness.json`.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("test accuracy, %")
    for role in content["labels"]:
        table.add_column(role, justify="right")
    for name in (CLEAN, *content["corruptions"]):
        cells = (f"{found[name]:.2f}" for found in content["accuracy"].values())
        table.add_row(_words(name), *cells)
    console.print(table)
    console.print()
    for line in sentences(content):
        console.print(line, markup=False)
    images = f"{content['samples']:,} test images at severity {content['severity']} of 5"
    console.print(f"on {images}, made here in the style of CIFAR-10-C: not the published files", style="dim")


def _words(name: str) -> str:
    return name.replace("_", " ")
