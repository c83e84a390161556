"""One line of the diagnosis."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Property:
    """Something about this installation or machine.

    Attributes:
        name: such as `torch` or `paths.outputs`.
        value: as found.
        about: what it is measured by, or what it is good for.
        problem: why a run would break, and the fix; empty where it would not.
    """

    name: str
    value: str
    about: str = ""
    problem: str = ""
