"""Where one more option of a config group may go: `group@place=option` on the command line.

`model/teacher@model.teachers.second=resnet20` is a second teacher, `data@transfer=cifar100` a transfer set.
"""

from hydra.core.override_parser.types import Override

from kdlab.errors import BadInput

PLACES = {"model/teacher": "model.teachers.<name>", "data": "transfer"}
UNREAD = ("batch_size", "eval_batch_size", "drop_last", "labelled_fraction", "seed", "mean", "std")  # of a transfer set


def chooser(override: Override) -> str:
    """What stands before the `=` where an option is chosen: its group, with the place where it has one."""
    return override.get_key_element().lstrip("+~")


def is_named(override: Override) -> bool:
    """Whether it chooses an option for a place whose name is the user's own, such as `model.teachers.second`."""
    place = PLACES.get(override.key_or_group, "")
    return override.package is not None and "<name>" in place and _fits(override.package, place)


def place_of(key: str) -> tuple[str, str]:
    """The place that a key is, or is in, and what chooses an option for it; empty where it is in none."""
    for group, place in PLACES.items():
        package = ".".join(key.split(".")[: place.count(".") + 1])
        if _fits(package, place):
            return package, f"{group}@{package}"
    return "", ""


def is_place(key: str) -> bool:
    """Whether an option can be chosen for a key."""
    return place_of(key)[0] == key


def check_place(override: Override) -> None:
    """Refuses an option of a group for a place where none of that group goes.

    Raises:
        BadInput: naming where one goes.
    """
    group, package = override.key_or_group, override.package
    if package is None or group not in PLACES or _fits(package, PLACES[group]):
        return
    place, name = PLACES[group], package.rpartition(".")[2]
    example = place.replace("<name>", "second" if name in place else name)
    choose = group if package == group.replace("/", ".") else f"{group}@{example}"
    raise BadInput(
        f"{override.input_line}: one more {group} goes to {place}, got {package!r}. "
        f"Did you mean {choose}={str(override.input_line).partition('=')[2]}?"
    )


def check_read(override: Override) -> None:
    """Refuses a setting that data have and that counts for nothing in a transfer set.

    Raises:
        BadInput: naming the one that counts.
    """
    node, _, name = override.key_or_group.partition(".")
    if node == "transfer" and name in UNREAD:
        raise BadInput(
            f"{override.input_line}: {override.key_or_group} has no effect. Of a transfer set only the images and "
            f"their views count, all else is the data's: set {'seed' if name == 'seed' else f'data.{name}'}."
        )


def _fits(package: str, place: str) -> bool:
    parts, wanted = package.split("."), place.split(".")
    return len(parts) == len(wanted) and all(
        part == name or (name == "<name>" and part != "") for part, name in zip(parts, wanted, strict=True)
    )
