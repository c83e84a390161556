"""Package overrides: another option of a config group, by `group@package=option` on the command line.

`model/teacher@model.teachers.second=resnet20` is a second teacher, `data@transfer=cifar100` a transfer set.
"""

from hydra.core.override_parser.types import Override

from kdlab.errors import BadInput

PACKAGES = {"model/teacher": "model.teachers.<name>", "data": "transfer"}
UNREAD = ("batch_size", "eval_batch_size", "drop_last", "labelled_fraction", "seed", "mean", "std")  # of a transfer set


def group_with_package(override: Override) -> str:
    """What stands before the `=` where an option is chosen: `group`, or `group@package`."""
    return override.get_key_element().lstrip("+~")


def has_user_name(override: Override) -> bool:
    """Whether it chooses an option for a package that the user names, such as `model.teachers.second`."""
    pattern = PACKAGES.get(override.key_or_group, "")
    return override.package is not None and "<name>" in pattern and _fits(override.package, pattern)


def package_of(key: str) -> tuple[str, str]:
    """The package that a key is or lies in, and its `group@package`; both empty where it lies in none."""
    for group, pattern in PACKAGES.items():
        package = ".".join(key.split(".")[: pattern.count(".") + 1])
        if _fits(package, pattern):
            return package, f"{group}@{package}"
    return "", ""


def is_package(key: str) -> bool:
    """Whether an option can be chosen for a key."""
    return package_of(key)[0] == key


def check_package(override: Override) -> None:
    """Refuses a package that an option of the group cannot have.

    Raises:
        BadInput: naming one that it can have.
    """
    group, package = override.key_or_group, override.package
    if package is None or group not in PACKAGES or _fits(package, PACKAGES[group]):
        return
    pattern, name = PACKAGES[group], package.rpartition(".")[2]
    example = pattern.replace("<name>", "second" if name in pattern else name)
    choose = group if package == group.replace("/", ".") else f"{group}@{example}"
    raise BadInput(
        f"{override.input_line}: the package of another {group} must be {pattern}, got {package!r}. "
        f"Did you mean {choose}={str(override.input_line).partition('=')[2]}?"
    )


def check_transfer_setting(override: Override) -> None:
    """Refuses a setting of data that a transfer set does not use.

    Raises:
        BadInput: naming the setting that is used.
    """
    node, _, name = override.key_or_group.partition(".")
    if node == "transfer" and name in UNREAD:
        raise BadInput(
            f"{override.input_line}: {override.key_or_group} has no effect. Only the images and views of a transfer "
            f"set are used, all else comes from data: set {'seed' if name == 'seed' else f'data.{name}'}."
        )


def _fits(package: str, pattern: str) -> bool:
    parts, expected = package.split("."), pattern.split(".")
    return len(parts) == len(expected) and all(
        part == name or (name == "<name>" and part != "") for part, name in zip(parts, expected, strict=True)
    )
