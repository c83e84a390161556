"""From run directories to networks that may be compared: of one test set and one teacher, seeds together."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open

from kdlab.errors import BadInput
from kdlab.jobs.export.finished import FinishedStage
from kdlab.models.saved import EXAMPLES, load_predictions
from kdlab.models.stage_folder import WEIGHTS
from kdlab.reporting.analyse.formatting import listed
from kdlab.reporting.analyse.labels import label, names, shown
from kdlab.reporting.analyse.settings import matters
from kdlab.reporting.collect.values import config_values
from kdlab.runtime.comparison import Contender, Contest
from kdlab.store.fingerprint import SHORT, file_hash, fingerprint

OWN = ("fingerprint", "setting")  # of a stage, beside its settings
COMPARED = ("network", "loss", "teachers", "start", "peer")  # in which networks differ on purpose
INITIAL = ("network.checkpoint", "network.pretrained")  # which is not the network's but the recipe's
MOST = 6  # settings that a remark names
Values = Mapping[str, Any]


class Named(NamedTuple):
    """A stage, as it was named and with what tells it from others."""

    path: str
    role: str
    stage: FinishedStage
    values: Values

    @property
    def identity(self) -> str:
        """The same for stages that differ by seed alone."""
        return fingerprint(self.values)

    @property
    def label(self) -> str:
        """Such as `resnet20 (response)`."""
        return f"{self.stage.network} ({self.role})"


def contest(paths: Sequence[str]) -> Contest:
    """The networks at some paths and their teacher.

    Args:
        paths: run directories, of which the student is meant, and stages.

    Raises:
        BadInput: a run is not finished, they have no teacher or several, test sets differ, or nothing is left.
    """
    named = list({one.stage.fingerprint: one for one in map(_named, paths)}.values())
    teacher = _teacher(named)
    teachers = {one.stage.config["seed"]: one for one in reversed([teacher, *_all_teachers(named)])}
    others = [one for one in named if one.identity != teacher.identity]
    if not others:
        raise BadInput(
            f"{paths[0]} is the teacher alone, with nothing to compare. Name a student too, such as "
            "outputs/response-1a2b3c4d; the teacher is a row in any case."
        )
    _check_test_sets([*teachers.values(), *others])
    groups = _groups(others)
    return Contest(
        Contender(teacher.label, _by_seed(list(teachers.values()))),
        tuple(Contender(text, _by_seed(group)) for text, group in zip(_labels(groups), groups, strict=True)),
        tuple(_remarks(groups)),
    )


def _named(path: str) -> Named:
    stage, run = FinishedStage.at(path), Path(path)
    role = str(stage.config["name"])
    if (run / "student").exists():
        about = json.loads((run / "result.json").read_text()) if (run / "result.json").is_file() else {}
        role = str((about.get("config") or {}).get("name") or role)
        role += f", {stage.change}" if stage.change else ""
    return Named(path, role, stage, _values(stage))


def _values(stage: FinishedStage) -> Values:
    """What the stage is, without its seeds; a network that was only evaluated is its weights."""
    config = stage.config
    if not config["epochs"] and not config.get("start"):
        own = {name: config["network"].get(name) for name in ("source", "name", "kwargs")}
        return {**config_values({"network": own}), "weights": file_hash(stage.folder / WEIGHTS)}
    settings = {key: one for key, one in config.items() if key not in OWN}
    values = config_values(_with_identities(settings, stage.folder.parent))
    return {
        key: Path(str(value)).name if key == "network.checkpoint" and value else value
        for key, value in values.items()
        if matters(key) and not key.endswith("seed")
    }


def _with_identities(value: Any, store: Path) -> Any:
    """A config in which each stage that it names is what that stage is, without its seeds."""
    if isinstance(value, Mapping):
        return {key: _with_identities(one, store) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_identities(one, store) for one in value]
    if isinstance(value, str) and "/" not in value and (store / value / WEIGHTS).is_file():
        return fingerprint(_values(FinishedStage(store / value)))
    return value


def _all_teachers(named: Sequence[Named]) -> Iterator[Named]:
    """The first teacher of each network."""
    for one in named:
        for stage, _ in one.stage.teachers[:1]:
            yield Named(f"{one.path}, its teacher", "teacher", stage, _values(stage))


def _teacher(named: Sequence[Named]) -> Named:
    """The teacher that all share.

    Raises:
        BadInput: none has one, or several have different ones.
    """
    every = list(_all_teachers(named))
    if not every:
        raise BadInput(
            f"{named[0].path} has no teacher to be compared with. Name a run with a teacher, such as "
            "outputs/response-1a2b3c4d; networks without one can stand beside it."
        )
    first = every[0]
    for other in every[1:]:
        if other.identity != first.identity:
            difference = _difference(first.values, other.values)
            raise BadInput(
                f"{first.path} and {other.path} must be the same network, got {first.stage.network} and "
                f"{other.stage.network} ({difference}). Compare the students of one teacher."
            )
    return first


def _difference(one: Values, other: Values) -> str:
    differing = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    some = [f"{key} {shown(one.get(key))} against {shown(other.get(key))}" for key in differing[:2]]
    return ", ".join(some) if "weights" not in differing[:1] else "with other weights"


def _check_test_sets(named: Sequence[Named]) -> None:
    """Compares test labels, and the images that stages keep as examples.

    Raises:
        BadInput: two of them differ.
    """
    first = named[0]
    labels, pictures = load_predictions(first.stage.folder)[1], _pictures(first.stage)
    for other in named[1:]:
        found = load_predictions(other.stage.folder)[1]
        theirs = _pictures(other.stage)
        shapes = {tuple(one.shape) for one in (*pictures.values(), *theirs.values())}
        differ = any(not torch.equal(pictures[key], theirs[key]) for key in pictures.keys() & theirs.keys())
        if not torch.equal(labels, found) or len(shapes) > 1 or differ:
            raise BadInput(
                f"{other.path} was tested on other data than {first.path}: {_data(other, found)} against "
                f"{_data(first, labels)}. Compare runs of the same data and test set."
            )


def _pictures(stage: FinishedStage) -> dict[str, torch.Tensor]:
    file = stage.folder / EXAMPLES
    if not file.is_file():
        return {}
    with safe_open(file, framework="pt") as found:
        return {key: found.get_tensor(key) for key in found.keys()}  # noqa: SIM118


def _data(named: Named, labels: torch.Tensor) -> str:
    return f"{str(named.stage.config['data']['_target_']).rpartition('.')[2]} with {len(labels)} test samples"


def _groups(named: Sequence[Named]) -> list[list[Named]]:
    """Networks that differ by seed alone, in the order in which they were named.

    Raises:
        BadInput: two of them have the same seed.
    """
    groups: dict[str, list[Named]] = defaultdict(list)
    for one in named:
        groups[one.identity].append(one)
    for group in groups.values():
        by_seed: dict[Any, Named] = {}
        for one in group:
            twin = by_seed.setdefault(one.stage.config["seed"], one)
            if twin is not one:
                raise BadInput(
                    f"{twin.path} and {one.path} have the same settings and the same seed, "
                    f"{one.stage.config['seed']}: hardware, folders or versions differ. Leave one of them out."
                )
    return list(groups.values())


def _by_seed(group: Sequence[Named]) -> tuple[FinishedStage, ...]:
    return tuple(sorted((one.stage for one in group), key=lambda stage: int(stage.config["seed"])))


def _labels(groups: Sequence[Sequence[Named]]) -> Iterator[str]:
    """A label for each group; with what tells apart those that would have the same."""
    same = Counter(group[0].label for group in groups)
    for group in groups:
        first = group[0]
        if same[first.label] == 1:
            yield first.label
            continue
        rivals = [other[0].values for other in groups if other[0].label == first.label]
        keys = [key for key in _varying(rivals) if not key.startswith(("teachers", "start.stage"))][:3]
        named = label({key: first.values.get(key) for key in keys}, names(keys)) or first.stage.fingerprint[:SHORT]
        yield f"{first.stage.network} ({first.role} · {named})"


def _varying(every: Sequence[Values]) -> list[str]:
    """Keys in which some differ, shallow ones first; a deeper one that only repeats another is left out."""
    keys = dict.fromkeys(key for values in every for key in values)
    columns = {key: tuple(shown(values.get(key)) for values in every) for key in keys}
    differing = sorted((key for key in keys if len(set(columns[key])) > 1), key=lambda key: key.count("."))
    return list({columns[key]: key for key in reversed(differing)}.values())[::-1]


def _remarks(groups: Sequence[Sequence[Named]]) -> Iterator[str]:
    recipes = [_recipe(group[0]) for group in groups]
    texts = list(_labels(groups))
    if unequal := _varying(recipes):
        differences = [_per_group(key, [one.get(key) for one in recipes], texts) for key in unequal[:MOST]]
        more = f"; and {len(unequal) - MOST} more" if len(unequal) > MOST else ""
        yield f"Recipes are not equal, so differences are not of the method alone: {'; '.join(differences)}{more}."
    seeds = [tuple(sorted(one.stage.config["seed"] for one in group)) for group in groups]
    if len(set(seeds)) > 1:
        counted = [f"{', '.join(map(str, own))} ({text})" for own, text in zip(seeds, texts, strict=True)]
        yield f"Seeds are not the same: {'; '.join(counted)}."
    if any(len(one.stage.teachers) > 1 for group in groups for one in group):
        yield "Some have several teachers; the first is what all are compared with."


def _recipe(named: Named) -> Values:
    """How it was trained; its epochs with those of the networks that it starts from."""
    own = {key: value for key, value in named.values.items() if _is_recipe(key)}
    stage, epochs = named.stage, int(named.stage.config["epochs"])
    while start := stage.config.get("start"):
        stage = FinishedStage(stage.folder.parent / start["stage"])
        epochs += int(stage.config["epochs"])
    return {"epochs": epochs, **{key: value for key, value in own.items() if key != "epochs"}}


def _is_recipe(key: str) -> bool:
    return key in INITIAL or key.partition(".")[0] not in (*COMPARED, "name", "weights")


def _per_group(key: str, values: Sequence[Any], texts: Sequence[str]) -> str:
    """Such as `epochs 2 (resnet20) and 40 (resnet8)`."""
    owners: dict[str, list[str]] = defaultdict(list)
    for value, text in zip(values, texts, strict=True):
        owners[shown(value)].append(text)
    return f"{key} {listed([f'{value} ({listed(own)})' for value, own in owners.items()])}"
