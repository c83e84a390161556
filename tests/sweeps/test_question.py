"""The sweep of a command line, and which command lines are the same sweep."""

import pytest
import yaml

from kdlab.config.compose import checked_overrides
from kdlab.errors import BadInput
from kdlab.runtime.sweep_records import Sweep
from kdlab.sweeps.cli import run
from kdlab.sweeps.question import sweep_of
from kdlab.train import train
from tests.small import TINY


def composed(*overrides: str, folder: str | None = None) -> Sweep:
    checked = checked_overrides([*overrides], multirun=True, folder=folder)
    return sweep_of(checked.multirun, checked.config)


SWEEP = ["loss.temperature=2,4", "seed=0,1,2"]


def test_a_grid_has_its_keys_values_and_number_of_cells():
    sweep = composed(*SWEEP, "loss=response,dkd", "+trainer.gradient_clip_val=range(1,3)")
    assert sweep.varied == {
        "loss.temperature": ("2", "4"),
        "seed": ("0", "1", "2"),
        "loss": ("response", "dkd"),
        "trainer.gradient_clip_val": ("1", "2"),
    }
    assert (sweep.cells, sweep.name, sweep.question, sweep.is_parallel) == (24, "sweep", None, False)


def test_a_sweeps_file_gives_name_question_and_values_beside_what_is_typed():
    sweep = composed("+sweeps=temperature", "seed=0,1")
    assert (sweep.name, sweep.question) == ("temperature", "Which temperature teaches this student best?")
    assert sweep.varied == {"seed": ("0", "1"), "loss.temperature": ("2", "4", "6", "8")}
    assert sweep.cells == 8
    assert sweep.folder.name.startswith("temperature-")


def test_what_is_typed_wins_over_the_sweeps_file():
    sweep = composed("+sweeps=temperature_alpha", "loss.alpha=0.5", "loss.temperature=3,5")
    assert (sweep.varied, sweep.cells) == ({"loss.temperature": ("3", "5")}, 2)


def test_a_sweeps_file_of_the_user_is_found_with_and_without_hydras_header(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    body = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 7,8\n"
    (tmp_path / "sweeps" / "mine.yaml").write_text(f"# Mine or yours?\n{body}")
    (tmp_path / "sweeps" / "old.yaml").write_text(f"# @package _global_\n# Old or new?\n{body}")
    monkeypatch.chdir(tmp_path)
    for name, question in (("mine", "Mine or yours?"), ("old", "Old or new?")):
        sweep = composed(f"+sweeps={name}")
        assert (sweep.question, sweep.varied) == (question, {"seed": ("7", "8")})


@pytest.mark.parametrize(
    "also",
    [["logger=wandb"], ["hydra.job.num=0"], ["paths.store=elsewhere"], ["logger=wandb", "logger.project=mine"]],
    ids=" ".join,
)
def test_where_and_how_it_runs_does_not_make_another_sweep(also):
    assert composed(*SWEEP, *also).folder == composed(*SWEEP).folder


@pytest.mark.parametrize("other", [["epochs=31"], ["seed=0,1"], ["loss.temperature=4,2", "seed=0,1,2"]], ids=" ".join)
def test_other_settings_or_values_make_another_sweep(other):
    changed = other if "seed" in other[-1] else [*SWEEP, *other]
    assert composed(*changed).folder != composed(*SWEEP).folder


def test_a_sweep_lies_in_the_outputs_or_in_hydras_sweep_dir(tmp_path):
    assert composed(*SWEEP, f"paths.outputs={tmp_path}").folder.parent == tmp_path
    assert composed(*SWEEP, f"hydra.sweep.dir={tmp_path}/here").folder == tmp_path / "here"


def test_a_sweeps_file_without_its_pluses_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    body = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      plan.baseline.epochs: 7,8\n"
    (tmp_path / "sweeps" / "mine.yaml").write_text(f"# Mine or yours?\n{body}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"plan\.baseline\.epochs is not in the config .* Write \+\+plan\.baseline\.ep"):
        composed("+sweeps=mine")


def test_a_fair_baseline_varies_the_recipe_of_the_baseline_by_multiples_of_what_is_typed():
    typed = ["+sweeps=fair_baseline", "optimizer.lr=0.2", "epochs=10", "seed=0,1"]
    sweep = composed(*typed)
    assert sweep.varied == {
        "plan.baseline.optimizer.lr": ("0.06", "0.2", "0.6"),
        "plan.baseline.optimizer.weight_decay": ("0.0005", "0.0025"),
        "plan.baseline.loss.terms.ce.label_smoothing": ("0", "0.1"),
        "plan.baseline.epochs": ("10", "20"),
        "seed": ("0", "1"),
    }
    assert sweep.cells == 48
    assert checked_overrides(typed, multirun=True).config.plan.baseline.optimizer.lr == 0.06


def test_a_fair_baseline_runs_and_reports_on_the_baseline(tmp_path, capsys):
    few = ["plan.baseline.optimizer.weight_decay=0.0", "plan.baseline.epochs=2"]
    overrides = [*TINY, "+sweeps=fair_baseline", *few, "plan.baseline.loss.terms.ce.label_smoothing=0"]
    assert run(train, [*overrides, f"paths.outputs={tmp_path}"]) == 0
    output = capsys.readouterr().out
    assert "3 of 3 cells finished" in output
    assert "Does a better-tuned baseline close the gap?" in output
    networks = [yaml.safe_load(path.read_text())["name"] for path in tmp_path.glob("store/*/config.yaml")]
    assert sorted(networks) == ["baseline", "baseline", "baseline", "student", "teacher"]
