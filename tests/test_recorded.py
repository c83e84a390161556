"""Results of kdlab's components do not change without a new version: reusing finished stages relies on that.

Where a change of results is meant, raise the version in `kdlab.store.versions` and run `python -m tests.recorded`.
"""

import inspect
import logging
import sys

import pytest
import torch
import yaml
from hydra.utils import get_object

import kdlab.data
import kdlab.losses
import kdlab.methods
from kdlab.config.folders import CONF
from kdlab.data.image.base import ImageData
from kdlab.models import cifar
from kdlab.store.versions import PART_OF, VERSIONS, component, components, versions
from tests.recorded.cases import CASES
from tests.recorded.recording import Case, agree, case_of, differences, failure, read_recorded, record, summary

RECORDED = read_recorded()


@pytest.fixture(autouse=True)
def one_quiet_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable(logging.INFO)  # Lightning's messages
    yield
    logging.disable(logging.NOTSET)
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(CASES))
def test_results_are_those_recorded_for_the_version(name):
    if message := failure(name, CASES[name], RECORDED.get(name)):
        pytest.fail(message, pytrace=False)


def test_nothing_is_recorded_that_is_no_longer_computed():
    assert set(RECORDED) <= set(CASES), "run python -m tests.recorded"


def test_every_component_has_recorded_results():
    recorded = {name for case in CASES.values() for name in case.components()}
    assert set(VERSIONS) <= recorded


def own(kind):
    """The component of its own module, without those of the classes it extends."""
    return component((getattr(kind, "func", None) or kind).__module__)


@pytest.mark.parametrize("name", kdlab.losses.__all__)
def test_every_loss_has_a_version(name):
    assert own(getattr(kdlab.losses, name)).startswith("losses.")


@pytest.mark.parametrize("name", kdlab.methods.__all__)
def test_every_method_has_a_version(name):
    kind = getattr(kdlab.methods, name)
    assert own(kind) == "training" if kind is kdlab.methods.Distiller else own(kind).startswith("methods.")


NO_DATA_SET = ("Batch", "BatchIndices", "Part", "UNLABELLED")


@pytest.mark.parametrize("name", [name for name in kdlab.data.__all__ if name not in NO_DATA_SET])
def test_every_data_set_has_a_version(name):
    kind = getattr(kdlab.data, name)
    assert own(kind) == "views" if inspect.isabstract(kind) else own(kind).startswith("data.")
    assert "views" in components(kind) or not issubclass(kind, ImageData)


@pytest.mark.parametrize("name", cifar.__all__)
def test_every_network_has_a_version(name):
    assert own(getattr(cifar, name)).startswith("models.")


def targets(settings):
    if isinstance(settings, dict):
        yield from [settings["_target_"]] if "_target_" in settings else []
        settings = list(settings.values())
    for inner in settings if isinstance(settings, list) else []:
        yield from targets(inner)


GROUPS = ("data", "loss", "optimizer", "scheduler", "callbacks")


@pytest.mark.parametrize("group", GROUPS)
def test_everything_of_kdlab_that_a_config_names_has_a_version(group):
    settings = [yaml.safe_load(path.read_text()) for path in (CONF / group).rglob("*.yaml")]
    named = {target for one in settings for target in targets(one) if target.startswith("kdlab.")}
    assert [target for target in named if not own(get_object(target))] == []


def test_a_shared_component_covers_the_modules_that_are_part_of_it():
    assert set(PART_OF.values()) <= set(VERSIONS)
    assert not set(PART_OF) & set(VERSIONS)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("kdlab.losses.dkd", "losses.dkd"),
        ("kdlab.losses.soft.dkd", "losses.dkd"),  # moved
        ("kdlab.data.image.digits", "data.digits"),
        ("kdlab.models.sources.resnet", "models.resnet"),
        ("kdlab.methods.adapters", "adapters"),
        ("kdlab.teachers.frozen", "teachers"),
        ("kdlab.losses.new", "losses.new"),  # not listed
        ("kdlab.losses", None),
        ("kdlab.errors", None),
        ("kdlab", None),
        ("mine.losses.dkd", None),
    ],
)
def test_a_component_is_found_wherever_in_its_package_it_is(module, name):
    assert component(module) == name


def example_case(value, **raised):
    return Case(lambda: {"losses.dkd": 1, **raised}, lambda: {"loss": value, "tensor": [value, 2.0]})


def test_changed_results_without_a_new_version_fail_with_the_fix():
    recorded = record({"x": example_case(1.0)}, {})
    assert failure("x", example_case(1.0), recorded["x"]) is None
    assert failure("x", example_case(1.00001), recorded["x"]) is None  # another processor's rounding
    message = failure("x", example_case(1.001), recorded["x"])
    assert "Results of x changed, and no version was raised" in message
    assert "loss was 1.0, is 1.001" in message
    assert "kdlab.store.versions.VERSIONS, one of losses.dkd" in message and "python -m tests.recorded" in message


def test_a_raised_version_fails_until_it_is_recorded_again():
    recorded = record({"x": example_case(1.0)}, {})
    raised = example_case(1.5, **{"losses.dkd": 2})
    assert "recorded for other versions" in failure("x", raised, recorded["x"])
    assert failure("x", raised, record({"x": raised}, recorded)["x"]) is None
    assert "not recorded yet" in failure("y", raised, recorded.get("y"))


def test_a_recorded_version_is_not_overwritten():
    recorded = record({"x": example_case(1.0)}, {})
    assert record({"x": example_case(2.0)}, recorded) == recorded
    assert record({}, recorded) == {}


def test_a_loss_that_computes_something_else_fails(monkeypatch):
    module = sys.modules["kdlab.losses.dkd"]  # the package has the function under that name
    kl = module._kl
    monkeypatch.setattr(module, "_kl", lambda *pair: 1.001 * kl(*pair))
    assert "Results of losses.dkd" in failure(
        "losses.dkd: dkd()", CASES["losses.dkd: dkd()"], RECORDED["losses.dkd: dkd()"]
    )
    message = failure("loss=dkd", CASES["loss=dkd"], RECORDED["loss=dkd"])
    assert "train/dkd" in message and "losses.dkd" in message
    assert failure("losses.pkt: pkt()", CASES["losses.pkt: pkt()"], RECORDED["losses.pkt: pkt()"]) is None


def test_summaries_differ_for_tensors_with_the_same_sum():
    one, other = torch.tensor([1.0, 2.0, -3.0]), torch.tensor([2.0, 1.0, -3.0])
    assert not agree(summary(one), summary(other))
    assert not agree(summary(one), summary(-one))
    assert agree(summary(one), summary(one + 1e-6))
    assert differences({"a": 1}, {"a": 2}) == ["a was 1, is 2"]
    assert differences({"a": 1}, {"b": 1}) == ["a is no longer computed", "b is new: 1"]


def test_what_is_not_listed_is_at_version_1():
    assert versions(["losses.new"]) == {"losses.new": 1}
    assert case_of("losses.dkd", dict).components() == {"losses.dkd": VERSIONS["losses.dkd"]}
