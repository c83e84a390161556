"""Which stages are one network, which may be compared, and what is refused."""

import json

import pytest
import torch
import yaml

from kdlab.errors import BadInput
from kdlab.models.saved import save_examples, save_predictions
from kdlab.reporting.collect.contenders import contest

LABELS = torch.tensor([0, 1, 2, 1])
PICTURE = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)


class Outputs:
    """A folder with a store, into which stages are written as training leaves them."""

    def __init__(self, path):
        self.path = path

    def stage(self, fingerprint, teachers=(), weights="w", labels=LABELS, picture=PICTURE, **settings):
        """`settings` change its config, by keys with `__` for each dot."""
        folder = self.path / "store" / fingerprint
        folder.mkdir(parents=True)
        network = {"source": "cifar", "name": "resnet8", "kwargs": {}, "checkpoint": None, "pretrained": False}
        config = {
            "name": "student",
            "network": network,
            "data": {"_target_": "kdlab.data.Digits", "root": "here", "seed": 0, "split_seed": 0, "batch_size": 64},
            "loss": {"temperature": 4.0},
            "epochs": 2,
            "seed": 0,
            "optimizer": {"lr": 0.1},
            "hardware": {"threads": 1, "precision": "32-true"},
            "setting": "model.student",
            "teachers": [[teacher, 1.0] for teacher in teachers],
        }
        for key, value in settings.items():
            node, *parts = config, *key.split("__")
            for part in parts[:-1]:
                node = node[part]
            node[parts[-1]] = value
        (folder / "config.yaml").write_text(yaml.safe_dump({"fingerprint": fingerprint, **config}))
        (folder / "result.json").write_text(json.dumps({"test/accuracy": 90.0}))
        (folder / "student.safetensors").write_text(weights)
        save_predictions(folder, torch.zeros(len(labels), 3), labels)
        save_examples(folder, [], {3: picture})
        return str(folder)

    def run(self, name, student, **stages):
        """A run directory whose config is named `name`."""
        folder = self.path / f"{name}-{student}"
        folder.mkdir()
        (folder / "result.json").write_text(json.dumps({"config": {"name": name}}))
        for role, stage in {"student": student, **stages}.items():
            (folder / role).symlink_to(self.path / "store" / stage)
        return str(folder)


@pytest.fixture
def outputs(tmp_path):
    made = Outputs(tmp_path)
    made.stage("teacher", network__name="resnet20", epochs=0)
    return made


def names(contenders):
    return {one.label: [stage.fingerprint for stage in one.stages] for one in contenders}


def test_stages_that_differ_by_seed_alone_are_one_network(outputs):
    outputs.stage("b", ["teacher"], seed=1, data__seed=1, data__root="there", hardware__threads=8)
    outputs.stage("a", ["teacher"])
    outputs.stage("cold", ["teacher"], loss__temperature=1.0)
    runs = [outputs.run("response", stage) for stage in ("b", "a", "cold")]
    found = contest(runs)
    assert names([found.teacher]) == {"resnet20 (teacher)": ["teacher"]}
    assert names(found.others) == {"resnet8 (response · T 4)": ["a", "b"], "resnet8 (response · T 1)": ["cold"]}
    assert found.remarks == ("Seeds are not the same: 0, 1 (resnet8 (response · T 4)); 0 (resnet8 (response · T 1)).",)


def test_the_teacher_may_be_named_and_its_stages_stand_beside_it(outputs):
    outputs.stage("a", ["teacher"])
    outputs.stage("plain", name="baseline", loss__temperature=None)
    run = outputs.run("response", "a", teacher="teacher", baseline="plain")
    found = contest([f"{run}/teacher", run, f"{run}/baseline", run])
    assert names(found.contenders) == {
        "resnet20 (teacher)": ["teacher"],
        "resnet8 (response)": ["a"],
        "resnet8 (baseline)": ["plain"],
    }
    assert found.remarks == ()


def test_a_teacher_of_each_seed_is_one_teacher(outputs):
    for seed in (0, 1):
        outputs.stage(f"t{seed}", seed=seed, weights=f"w{seed}", network__name="resnet20")
        outputs.stage(f"s{seed}", [f"t{seed}"], seed=seed)
    found = contest([outputs.run("response", f"s{seed}") for seed in (1, 0)])
    assert list(names(found.contenders).values()) == [["t0", "t1"], ["s0", "s1"]]


def test_published_weights_are_one_teacher_whatever_the_recipe_around_them(outputs):
    outputs.stage("again", network__name="resnet20", epochs=0, data__batch_size=128)
    outputs.stage("a", ["teacher"])
    outputs.stage("b", ["again"], data__batch_size=128)
    found = contest([outputs.run("response", "a"), outputs.run("response", "b")])
    assert names([found.teacher]) == {"resnet20 (teacher)": ["teacher"]}
    assert len(found.others) == 2
    (remark,) = found.remarks
    assert remark.startswith("Recipes are not equal, so differences are not of the method alone: data.batch_size 64 (")


def test_unequal_recipes_are_named_with_their_owners(outputs):
    outputs.stage("a", ["teacher"])
    outputs.stage("b", ["teacher"], network__name="resnet14", epochs=9, network__checkpoint="/some/where/pruned.th")
    found = contest([outputs.run("response", "a"), outputs.run("compress", "b")])
    (remark,) = found.remarks
    assert "epochs 2 (resnet8 (response)) and 9 (resnet14 (compress))" in remark
    assert "network.checkpoint none (resnet8 (response)) and pruned.th (resnet14 (compress))" in remark


def test_epochs_before_pruning_count_and_ratios_tell_pruned_networks_apart(outputs):
    outputs.stage("unpruned", ["teacher"], epochs=4)
    outputs.stage("longer", ["teacher"], epochs=6)
    for ratio in (0.5, 0.7):
        start = {"stage": "unpruned", "ratio": ratio}
        outputs.stage(f"half-{ratio}", ["teacher"], epochs=2, start=start)
    found = contest([outputs.run("response", stage) for stage in ("longer", "half-0.5", "half-0.7")])
    assert [one.label for one in found.others] == [
        "resnet8 (response)",
        "resnet8 (response, pruned · ratio 0.5)",
        "resnet8 (response, pruned · ratio 0.7)",
    ]
    assert found.remarks == ()


def refused(*runs):
    with pytest.raises(BadInput) as error:
        contest(list(runs))
    return str(error.value)


def test_other_teachers_are_refused_with_what_differs(outputs):
    outputs.stage("other", network__name="resnet20", epochs=0, weights="x")
    outputs.stage("trained", network__name="resnet14", epochs=3)
    first, second, third = (
        outputs.run("response", outputs.stage(f"s{teacher}", [teacher]).rpartition("/")[2])
        for teacher in ("teacher", "other", "trained")
    )
    text = refused(first, second)
    assert text.startswith(f"{first}, its teacher and {second}, its teacher must be the same network, got resnet20 and")
    assert "with other weights" in text
    assert "got resnet20 and resnet14 (network.name resnet20 against resnet14" in refused(first, third)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": torch.tensor([0, 1, 2, 2])},
        {"labels": LABELS[:3]},
        {"picture": PICTURE + 1},
        {"picture": torch.zeros(3, 4, 4, dtype=torch.uint8)},
    ],
)
def test_another_test_set_is_refused(change, outputs):
    outputs.stage("a", ["teacher"])
    outputs.stage("b", ["teacher"], loss__temperature=1.0, **change)
    first, second = outputs.run("response", "a"), outputs.run("response", "b")
    text = refused(first, second)
    assert text.startswith(f"{second} was tested on other data than {first}, its teacher: Digits with ")
    assert "Compare runs of the same data and test set." in text


def test_a_run_without_a_teacher_has_nothing_to_be_compared_with(outputs):
    outputs.stage("plain")
    assert "plain has no teacher to be compared with." in refused(outputs.run("ce", "plain"))


def test_the_teacher_alone_is_refused(outputs):
    outputs.stage("a", ["teacher"])
    run = outputs.run("response", "a", teacher="teacher")
    assert f"{run}/teacher has no teacher to be compared with." in refused(f"{run}/teacher")


def test_two_runs_of_one_setting_and_seed_are_refused(outputs):
    outputs.stage("a", ["teacher"])
    outputs.stage("b", ["teacher"], hardware__threads=4)
    first, second = outputs.run("response", "a"), outputs.run("response", "b")
    assert refused(first, second).startswith(f"{first} and {second} have the same settings and the same seed, 0:")
