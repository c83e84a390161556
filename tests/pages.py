"""The README and the pages in `docs/`, as their readers have them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PATHS}


def blocks(text: str, language: str) -> list[str]:
    """The code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[str]:
    """The command lines of a page, without comments."""
    lines = "".join(blocks(text, "bash")).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]
