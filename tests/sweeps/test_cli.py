"""The command line, run in this process: bad input, failing runs, sweeps, what is shown."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml

from kdlab import __main__
from kdlab.sweeps.cli import run
from kdlab.train import train
from tests.small import TINY

BAD_OVERRIDES = {
    "a misspelt key": (
        ["loss.temprature=3"],
        "loss.temprature=3: loss.temprature is not a setting",
        "loss.temperature?",
    ),
    "a short name of a key": (["loss.T=3"], "loss.T is not a setting with loss=response. Settings here: loss.temp"),
    "a key of several nodes": (["lr=0.1"], "lr is not a setting. Did you mean optimizer.lr?"),
    "spaces around the =": (
        ["loss = dkd"],
        "loss = dkd: this is no override.",
        "where the value has special characters",
    ),
    "a misspelt key with +": (["+loss.temprature=3"], "loss.temprature is not a setting", "mean loss.temperature?"),
    "a misspelt key with ++": (["++loss.temprature=3"], "loss.temprature is not a setting", "mean loss.temperature?"),
    "a misspelt key of a sweep": (["-m", "loss.temprature=2,4"], "loss.temprature=2,4: ", "mean loss.temperature?"),
    "a misspelt part in the middle": (["plan.techer.epochs=3"], "plan.techer.epochs=3", "mean plan.teacher.epochs?"),
    "a misspelt node that is open": (["model.studnt.kwargs.widths=[1]"], "mean model.student.kwargs.widths?"),
    "a key of another option": (["loss=ce", "loss.alpha=1"], "loss.alpha is not a setting with loss=ce", "loss.terms"),
    "a misspelt option": (["loss=respnse"], "loss=respnse: loss has no option 'respnse'", "mean loss=response?"),
    "a misspelt option of a sweep": (["-m", "loss=ce,respnse"], "loss=ce,respnse: ", "mean loss=response?"),
    "an option unlike any": (["optimizer=zzz"], "optimizer has no option 'zzz'. Options: adam, adamw, sgd"),
    "a sweep without its plus": (["sweeps=seeds"], "sweeps=seeds: ", "with a plus: +sweeps=seeds"),
    "a sweep that is not there": (["+sweeps=zzz"], "sweeps has no option 'zzz'. Options: ", "seeds"),
    "a dot for a slash": (["model.teacher=resnet8"], "model.teacher=resnet8: ", "with slashes: model/teacher=resnet8"),
    "several values for one run": (["seed=0,1"], "seed=0,1: one run takes one value. Add -m"),
    "no override at all": (["seed"], "seed: this is no override. One is written key=value"),
    "brackets left open": (["loss.terms.ce={a"], "loss.terms.ce={a: this is no override"),
    "a config folder that is absent": (["--config-dir=nowhere"], "--config-dir must be a folder", "got nowhere"),
    "a flag that is kdlab's": (["--config-name=foo"], "--config-name must be left out", "--config-dir"),
    "an interval for a grid": (
        ["-m", "optimizer.lr=interval(0,1)"],
        "interval needs a sweeper",
        "hydra/sweeper=optuna",
    ),
    "a misspelt launcher": (
        ["-m", "hydra/launcher=bsic"],
        "hydra/launcher has no option 'bsic'",
        "hydra/launcher=basic",
    ),
    "a misspelt key of Hydra's": (["hydra.swep.dir=x"], "hydra.swep.dir is not a setting", "mean hydra.sweep.dir?"),
}
BAD_VALUES = {
    "absent data": (["data=cifar10", "paths.data=nowhere"], "CIFAR10 in nowhere/cifar-10", "Set data.download=true"),
    "a value that has no default": (["data=image_folder"], "data.root has no value of its own", "Add data.root=…"),
    "a reference to nothing": (["loss.temperature=${foo}"], "loss.temperature points to nothing", "'foo' not found"),
    "an absent checkpoint": (["model.teacher.checkpoint=no.pt"], "model.teacher.checkpoint: no file at no.pt; give a"),
    "a checkpoint of bytes": (["model.teacher.checkpoint=corrupt.pt"], "corrupt.pt (8 bytes) cannot be read", "again"),
    "a truncated checkpoint": (["model.teacher.checkpoint=cut.safetensors"], "cut short", "fetch it again"),
    "another network's checkpoint": (["model.teacher.checkpoint=other.pt"], "other.pt does not fit: missing", "Choose"),
    "other classes": (
        ["model.teacher.checkpoint=seven.pt"],
        "model.teacher.checkpoint: seven.pt does not fit: the checkpoint predicts 7 classes, the data has 10",
        "use weights trained for these classes",
    ),
    "code in a checkpoint": (["model.teacher.checkpoint=evil.pt"], "evil.pt would run posix.system", "refused"),
    "a number for a checkpoint": (["model.teacher.checkpoint=7"], "must be the path of a file, or null; got 7"),
    "temperature 0": (["loss.temperature=0"], "loss.temperature must be above 0, got 0.", "loss.temperature=4"),
    "a negative temperature": (["loss.temperature=-1"], "loss.temperature must be above 0, got -1."),
    "alpha above 1": (["loss.alpha=1.5"], "loss.alpha must lie in [0, 1]", "got 1.5. For example loss.alpha=0.7"),
    "an optimizer's argument": (["optimizer.lrr=0.1"], "optimizer.lrr is not a setting, got 0.1", "mean optimizer.lr?"),
    "a scheduler's argument": (["scheduler.pct_strt=0.1"], "scheduler.pct_strt is", "mean scheduler.pct_start?"),
    "a trainer's argument": (["trainer.gradient_clip=1"], "trainer.gradient_clip is", "trainer.gradient_clip_val?"),
    "a callback's argument": (
        ["callbacks=early_stopping", "callbacks.early_stopping.patiance=3"],
        "callbacks.early_stopping.patiance is not a setting, got 3",
        "Did you mean callbacks.early_stopping.patience?",
    ),
    "a callback without a class": (["callbacks.mine.patience=3"], "callbacks.mine needs a class", "{'patience': 3}"),
    "a class that is not there": (["optimizer._target_=torch.optim.SDG"], "optimizer._target_ must", "torch.optim.SDG"),
    "a trainer's own key": (["trainer.max_epochs=3"], "trainer.max_epochs belongs to kdlab, got 3. Set epochs=…"),
    "a value that torch refuses": (["optimizer.lr=-1"], "optimizer: torch.optim.SGD refuses lr=-1", "Invalid learning"),
    "a value that Lightning refuses": (["hardware.precision=abc"], "precision='abc'", "Allowed precision values"),
    "no threads": (["hardware.threads=0"], "hardware.threads must be a whole number, 1 or more", "got 0."),
    "a folder below a file": (["paths.outputs=file/x"], "paths.outputs must be a folder that can be", "got file/x"),
    "a sweep below a file": (
        ["-m", "seed=0,1", "hydra.sweep.dir=file/x"],
        "hydra.sweep.dir must be a folder",
        "file/x",
    ),
    "a store below a file": (["paths.store=file/x"], "paths.store must be a folder that can be written", "got file/x"),
    "no folder": (["paths.outputs=null"], "paths.outputs must be the path of a folder, got None"),
    "a misspelt source": (["model.student.source=cifr"], "model.student.source", "got 'cifr'; closest: cifar"),
    "a misspelt network": (["model.student.name=resnet9"], "model.student.name: cifar has no network 'resnet9'"),
    "kwargs that do not bind": (["model.student.kwargs.wdths=[1]"], "resnet8 cannot take", "accepted: widths"),
    "a missing role": (
        ["+loss.terms.mine._target_=tests.sweeps.test_cli.squared_distance", "loss.terms.mine.taps=[neck]"],
        "model.student.taps.neck is missing: loss= reads the tap 'neck', and resnet8 has low, mid, high",
        "model.student.taps.neck=…",
    ),
    "a module that is not there": (
        [
            "+loss.terms.mine._target_=tests.sweeps.test_cli.squared_distance",
            "loss.terms.mine.taps=[mid]",
            "model.student.taps.mid=layr2",
        ],
        "has no module 'layr2'; closest: ",
    ),
    "a name with a slash": (["name=a/b"], "name must be text without slashes", "got 'a/b'"),
    "a word for a seed": (["seed=abc"], "seed must be a whole number, 0 or more; got 'abc'. For example seed=0."),
    "two temperatures for one": (["loss.temperature=2 4"], "loss.temperature must be above 0, got '2 4'"),
    "a word for a switch": (["baseline=maybe"], "baseline must be true or false, got 'maybe'"),
    "one tag": (["tags=mine"], "tags must be a list, got 'mine'. Try tags=[mine]."),
}


def squared_distance(student, teacher):
    return ((student - teacher.mean()) ** 2).mean()


def never_finite(student):
    return student.sum() * float("nan")


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished run in it, and with files that are no checkpoints for it."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(train, TINY) == 0
    (weights,) = folder.glob("outputs/response-*/teacher/student.safetensors")
    state = {name: torch.zeros(shape) for name, shape in shapes(weights).items()}
    torch.save({**state, "fc.weight": torch.zeros(7, 8), "fc.bias": torch.zeros(7)}, folder / "seven.pt")
    torch.save({"weight": torch.zeros(3)}, folder / "other.pt")
    torch.save({"weight": RunsCode()}, folder / "evil.pt")
    (folder / "corrupt.pt").write_bytes(b"nonsense")
    (folder / "cut.safetensors").write_bytes(weights.read_bytes()[:1000])
    (folder / "file").touch()
    return folder


def shapes(weights):
    length = int.from_bytes(weights.read_bytes()[:8], "little")
    header = json.loads(weights.read_bytes()[8 : 8 + length])
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in (folder / "outputs").rglob("*") if path.is_file()}


def command(*arguments):
    flags = [argument for argument in arguments if argument.startswith("-")]
    return run(train, [*flags, *TINY, *(argument for argument in arguments if argument not in flags)])


@pytest.mark.parametrize("case", BAD_OVERRIDES)
def test_a_bad_override_is_an_error_with_exit_code_2(case, capsys):
    arguments, *texts = BAD_OVERRIDES[case]
    assert run(train, arguments) == 2
    output = capsys.readouterr().err
    assert output.startswith("\nerror: ")
    assert [text for text in texts if text not in output] == []


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_bad_value_is_an_error_with_exit_code_2_and_changes_nothing(case, here, capsys):
    arguments, *texts = BAD_VALUES[case]
    before = contents(here)
    assert command(*arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("\nerror: ")
    assert [text for text in texts if text not in output.err] == []
    assert "Traceback" not in output.err
    assert contents(here) == before
    assert not (here / "owned").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("terms: {ce: [\n", "broken.yaml, line 2, column 1: this is no YAML (expected the node content, but found"),
        (
            "terms:\n\tce: 1\n",
            "broken.yaml, line 2, column 1: this is no YAML (found character '\\t' that cannot start",
        ),
        ("terms: {}\n", "loss._target_ must name a method, got none. In the file of the loss, for example: _target_:"),
    ],
)
def test_a_file_of_ones_own_that_is_wrong_is_an_error(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "broken.yaml").write_text(text)
    assert run(train, ["--config-dir", str(tmp_path), "loss=broken"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_an_error_even_when_everything_is_finished(here, capsys):
    before = contents(here)
    assert command("hardware=gpu") == 2
    assert (
        "hardware.accelerator needs a CUDA GPU, and torch sees none; got 'gpu'. Use hardware=cpu"
        in capsys.readouterr().err
    )
    assert contents(here) == before


def test_a_finished_run_keeps_its_result_when_the_same_command_comes_with_a_mistake(here):
    (result,) = here.glob("outputs/response-*/result.json")
    command("loss.alpha=2")
    assert json.loads(result.read_text())["status"] == "finished"


def test_a_loss_that_is_not_finite_names_term_and_step_and_leaves_a_failed_result(here, capsys):
    term = "loss.terms.broken._target_=tests.sweeps.test_cli.never_finite"
    assert command(f"+{term}", "name=broken") == 1
    (path,) = here.glob("outputs/broken-*/result.json")
    result = json.loads(path.read_text())
    assert result["status"] == "failed"
    assert "term broken, epoch 1, step 0" in result["error"]
    assert f"error: {result['error']}" in capsys.readouterr().err


def test_a_bug_is_one_line_and_its_traceback_is_in_the_log(here, capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("half a sheep")

    monkeypatch.setattr("kdlab.runtime.run.execute", broken)
    assert command("name=buggy") == 1
    output = capsys.readouterr().err
    (log,) = here.glob("outputs/buggy-*/train.log")
    assert "error: ZeroDivisionError: half a sheep" in output
    assert f"its traceback is in {log.relative_to(here)}" in output
    assert "Traceback" not in output
    assert "Traceback" in log.read_text()
    assert json.loads((log.parent / "result.json").read_text())["status"] == "failed"


def test_a_bug_before_there_is_a_log_shows_its_traceback(here, capsys, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("half a sheep")

    monkeypatch.setattr("kdlab.jobs.plan.make_plan", broken)
    assert command() == 1
    output = capsys.readouterr().err
    assert "Traceback" in output
    assert "a bug, not your input: its traceback is above" in output


def test_one_failing_cell_of_a_sweep_does_not_stop_the_others(here, capsys):
    assert command("-m", "loss.temperature=-1,4", "name=sweep") == 1
    output = capsys.readouterr().out
    assert "1 of 2 cells finished\n  failed: loss.temperature=-1\n          loss.temperature must be above 0" in output
    (finished,) = here.glob("outputs/sweep-*/result.json")
    assert json.loads(finished.read_text())["status"] == "finished"


def test_a_sweep_checks_the_keys_of_every_option_that_it_varies(here, capsys):
    assert command("-m", "loss=response,ce", "loss.temperature=3") == 2
    assert "loss.temperature is not a setting with loss=ce" in capsys.readouterr().err


def test_interrupting_prints_how_to_continue(here, capsys, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kdlab.jobs.plan.make_plan", stopped)
    assert command() == 130
    assert capsys.readouterr().err == "\ninterrupted: the same command continues where this one stopped\n"


def test_cfg_shows_what_would_run(capsys):
    assert run(train, ["--cfg", "job", "--resolve", "loss.alpha=0.25", "optimizer.foo=1"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert "hydra" not in shown
    assert shown["loss"]["terms"]["ce"]["weight"] == 0.75
    assert (shown["optimizer"]["foo"], shown["name"]) == (1, "response")


def test_cfg_shows_one_node(capsys):
    assert run(train, ["--cfg", "job", "--package", "scheduler", "scheduler=multistep"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["milestones"] == [150, 180, 210]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cfg", "job", "--package", "zzz"], "--package must be a node of the config, got zzz. --cfg job shows"),
        (["--cfg", "job", "loss.alhpa=1"], "Did you mean loss.alpha?"),
        (["--resolve"], "--resolve needs a config to show"),
    ],
)
def test_cfg_refuses_what_it_cannot_show(arguments, text, capsys):
    assert run(train, arguments) == 2
    assert text in capsys.readouterr().err


def test_help_and_cfg_do_not_load_torch():
    pages = [["kdlab", "--help"], *([f"kdlab.{name}", "--help"] for name in __main__.COMMANDS)]
    commands = [["kdlab.train", "--cfg", "job"], *pages]
    program = (
        "import runpy, sys\n"
        f"for module, *arguments in {commands!r}:\n"
        "    sys.argv = [module, *arguments]\n"
        "    try: runpy.run_module(module, run_name='__main__')\n"
        "    except SystemExit as stop: assert not stop.code, stop.code\n"
        "    heavy = {'torch', 'lightning', 'timm', 'wandb', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, (module, arguments, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_kdlab_runs_its_commands(here, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kdlab", "train", "--cfg", "job", "seed=7"])
    assert __main__.main() == 0
    assert yaml.safe_load(capsys.readouterr().out)["seed"] == 7


@pytest.mark.parametrize(
    ("typed", "text"), [("trian", "Did you mean train?"), ("zzz", "zzz is not a command of kdlab.\n")]
)
def test_an_unknown_command_prints_the_list(typed, text, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["kdlab", typed])
    assert __main__.main() == 2
    output = capsys.readouterr().err
    assert text in output
    assert all(f"  {name}" in output for name in __main__.COMMANDS)
