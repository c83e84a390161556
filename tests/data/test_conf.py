"""Every file of conf/data builds its data module, and leaves out none of its arguments."""

from dataclasses import fields
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

CONF = Path(__file__).resolve().parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


def composed(name, *overrides):
    root = {"image_folder": ["data.root=photos"], "npz": ["data.file=mine.npz"]}.get(name, [])
    around = ["+seed=4", "+paths.data=elsewhere"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(None, [f"+data={name}", *around, *root, *overrides]).data


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_is_the_command(name):
    first = (CONF / "data" / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith(f"# python -m kdlab.train data={name}")


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_listed_and_has_the_default_of_the_class(name):
    settings = composed(name)
    data = instantiate(settings, _convert_="all")
    assert {field.name for field in fields(data)} == set(settings) - {"_target_"}
    own = {"seed", "root", "file", "mean", "std"} | ({"labelled_fraction"} if name == "digits" else set())
    for field in fields(data):
        assert field.name in own or getattr(data, field.name) == field.default
    assert data.seed == 4


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_published_sets_lie_under_the_data_path(name):
    assert composed(name).root == "elsewhere"


def test_only_sets_whose_mirror_images_keep_their_label_are_flipped():
    flipped = {name for name in NAMES if composed(name).flip}
    assert flipped == {"fashion_mnist", "cifar10", "cifar100", "image_folder"}
