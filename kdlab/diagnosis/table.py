"""The diagnosis on the screen."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kdlab.diagnosis.diagnose import Sections, problems
from kdlab.reporting.render.console import Printer


def show(sections: Sections, console: Console | None = None) -> None:
    """Prints a table with a heading for each section, then what would break a run.

    Args:
        sections: of the diagnosis.
        console: to print on; None is the standard output.
    """
    console = console or Printer()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for title, properties in sections.items():
        table.add_row(Text(f"\n{title}", "bold"))
        for one in properties:
            found = Text.assemble((one.value, "red" if one.problem else ""), (f"  {one.about}".rstrip(), "dim"))
            table.add_row(Text(f"  {one.name}"), found)
    console.print(table)
    console.print()
    for problem in problems(sections):
        console.print(Text(f"✗ {problem}", "red"))
    if not problems(sections):
        console.print("[green]✓[/] nothing here would break a run")
