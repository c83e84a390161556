"""Runs are read back from the files that wandb writes offline; nothing here needs a network."""

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from kdlab.errors import BadInput, Interrupted
from kdlab.tracking.wandb import Tracker, WandbSettings, run_id, wandb_run
from tests.tracking.wandb_files import OfflineRun, offline_runs
from tests.tracking.wandb_server import wandb_server

REPOSITORY = Path(__file__).resolve().parents[2]
CELL = {
    "name": "response-T4-s0",
    "fingerprint": "f00d",
    "job_type": "cell",
    "config": {"loss": {"alpha": 0.7}},
}
SCRIPT = """
import os, subprocess, sys
from pathlib import Path
from kdlab.tracking.wandb import WandbSettings, wandb_run

settings = WandbSettings(project="kdlab", directory=Path(sys.argv[1]))
with wandb_run(settings, name="n", fingerprint="f", job_type="stage", config={}) as tracker:
    tracker.log({"train/loss": 2.0}, step=1)
    BODY
    tracker.log({"train/loss": 1.0}, step=2)
print("trained")
"""


@pytest.fixture(autouse=True)
def _without_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "settings"))


@pytest.fixture
def settings(tmp_path: Path) -> WandbSettings:
    return WandbSettings(project="students", directory=tmp_path / "out", group="temperature", tags=("paper", "v1"))


def only_run(settings: WandbSettings) -> OfflineRun:
    (run,) = offline_runs(settings.directory)
    return run


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = (record for record in caplog.records if record.name == "kdlab.tracking.wandb")
    return [record.getMessage() for record in ours if record.levelno >= logging.WARNING]


def never() -> Any:
    raise AssertionError("called without a run")


def note(folder: Path) -> wandb.Artifact:
    (folder / "note.txt").write_text("what came out")
    artifact = wandb.Artifact("note", type="result", metadata={"seed": 3})
    artifact.add_file(str(folder / "note.txt"), policy="immutable")
    return artifact


def script(directory: Path, body: str = "pass") -> list[str]:
    return [sys.executable, "-c", SCRIPT.replace("BODY", body), str(directory)]


def run_script(directory: Path, body: str = "pass", timeout: float = 90) -> subprocess.CompletedProcess[str]:
    command = script(directory, body)
    return subprocess.run(
        command,
        check=False,
        cwd=REPOSITORY,
        timeout=timeout,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_a_run_keeps_its_identity_config_history_and_summary(settings: WandbSettings) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"train/loss": 1.5}, step=10)
        tracker.log({"train/loss": 0.5, "val/accuracy": 90.0}, step=20)
        tracker.summarise({"gain": 1.25, "student": {"test/accuracy": 91.0, "params": 7}, "gap_recovered": None})
    run = only_run(settings)
    assert (run.run.project, run.run.run_group, run.run.job_type) == ("students", "temperature", "cell")
    assert (run.run.display_name, list(run.run.tags)) == ("response-T4-s0", ["paper", "v1"])
    assert run.run.run_id == run_id("f00d", "temperature")
    assert run.config == {"loss": {"alpha": 0.7}}
    assert run.history == [
        {"train/loss": 1.5, "step": 10},
        {"train/loss": 0.5, "val/accuracy": 90.0, "step": 20},
    ]
    assert run.step_metrics == {"step": "", "*": "step"}
    figures = {"gain": 1.25, "student/test/accuracy": 91.0, "student/params": 7, "gap_recovered": None}
    assert figures.items() <= run.summary.items()
    assert run.exit_code == 0


def test_a_config_longer_than_one_block_of_the_file_survives(settings: WandbSettings) -> None:
    long = {"words": ["word"] * 40_000}
    with wandb_run(settings, **{**CELL, "config": long}):
        pass
    assert only_run(settings).config == long


def test_a_summarised_figure_wins_over_the_last_row_of_the_same_name(settings: WandbSettings) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"val/accuracy": 90.0}, step=1)
        tracker.summarise({"val/accuracy": 92.0})
    assert only_run(settings).summary["val/accuracy"] == 92.0


def test_a_cell_that_only_summarises_has_no_history(settings: WandbSettings) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.summarise({"gain": 1.0})
    assert only_run(settings).history == []


def test_rows_of_one_step_are_one_row(settings: WandbSettings) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"train/loss": 1.5}, step=3)
        tracker.log({"val/accuracy": 90.0}, step=3)
    assert only_run(settings).history == [{"train/loss": 1.5, "val/accuracy": 90.0, "step": 3}]


def test_rows_that_are_sent_again_are_not_doubled(settings: WandbSettings) -> None:
    past = [{"step": 1, "train/loss": 3.0}, {"step": 2, "train/loss": 2.0}]
    with wandb_run(settings, **CELL) as tracker:
        for row in [*past, *past, {"step": 3, "train/loss": 1.0}]:
            tracker.log(row, row["step"])
    assert [(row["step"], row["train/loss"]) for row in only_run(settings).history] == [
        (1, 3),
        (2, 2),
        (3, 1),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a bad step"), 1),
        (KeyboardInterrupt(), 255),
        (Interrupted("Ctrl-C"), 255),
        (BadInput("no such thing"), 2),
        (SystemExit(3), 3),
        (SystemExit("a message"), 1),
        (SystemExit(), 0),
    ],
)
def test_a_body_that_raises_is_seen_and_gives_the_run_its_exit_code(
    settings: WandbSettings, error: BaseException, code: int
) -> None:
    with pytest.raises(type(error)) as seen, wandb_run(settings, **CELL):
        raise error
    assert seen.value is error
    assert only_run(settings).exit_code == code


def test_runs_of_one_process_do_not_inherit_from_each_other(settings: WandbSettings) -> None:
    for fingerprint, loss in (("aaaa", 1.0), ("bbbb", 2.0)):
        with wandb_run(settings, **{**CELL, "fingerprint": fingerprint}) as tracker:
            tracker.log({"train/loss": loss}, step=5)
    runs = offline_runs(settings.directory)
    assert [run.run.run_id for run in runs] == [run_id(name, "temperature") for name in ("aaaa", "bbbb")]
    assert [[row["train/loss"] for row in run.history] for run in runs] == [[1.0], [2.0]]


def test_a_stage_run_inside_an_open_cell_run_is_its_own(settings: WandbSettings) -> None:
    stage = {**CELL, "fingerprint": "bbbb", "job_type": "stage"}
    with wandb_run(settings, **CELL) as cell, wandb_run(settings, **stage) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        cell.summarise({"gain": 2.0})
    runs = {run.run.job_type: run for run in offline_runs(settings.directory)}
    assert (runs["cell"].history, runs["cell"].summary["gain"]) == ([], 2.0)
    assert (len(runs["stage"].history), "gain" in runs["stage"].summary) == (1, False)


def test_the_id_follows_fingerprint_and_group_only(settings: WandbSettings) -> None:
    for name in ("first", "renamed"):
        with wandb_run(settings, **{**CELL, "name": name}):
            pass
    assert len({run.run.run_id for run in offline_runs(settings.directory)}) == 1
    assert len({run_id("aaaa", "x"), run_id("aaaa", "y"), run_id("aaaa", None), run_id("bbbb", "x")}) == 4


def test_no_settings_give_a_tracker_that_does_nothing() -> None:
    with wandb_run(None, **CELL) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        tracker.summarise({"gain": 1.0})
        tracker.show(never)
        tracker.keep(never)
        tracker.use("teacher:latest")


def test_tables_and_files_are_kept_and_an_offline_run_is_linked_to_nothing(
    settings: WandbSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.show(lambda: {"networks": wandb.Table(columns=["network", "accuracy"], data=[["student", 91.5]])})
        tracker.keep(lambda: note(tmp_path), aliases=["s3"])
        tracker.use("teacher:latest")
    run = only_run(settings)
    assert run.table("networks") == {"columns": ["network", "accuracy"], "data": [["student", 91.5]]}
    kept = run.artifacts["note"]
    assert (kept.type, sorted(kept.aliases), json.loads(kept.metadata)) == ("result", ["latest", "s3"], {"seed": 3})
    assert [(file.path, file.local_path) for file in kept.manifest.contents] == [
        ("note.txt", str(tmp_path / "note.txt"))
    ]
    assert (warnings(caplog), run.exit_code) == ([], 0)


def test_a_link_to_what_the_server_does_not_have_leaves_the_run_unharmed(caplog: pytest.LogCaptureFixture) -> None:
    used: list[str] = []

    def use_artifact(name: str) -> None:
        if name == "lost:latest":
            raise ValueError("no such artifact")
        used.append(name)

    rows: list[Any] = []
    tracker = Tracker(SimpleNamespace(name="n", use_artifact=use_artifact, log=lambda row, **_: rows.append(row)))  # type: ignore[arg-type]
    for name in ("teacher:latest", "lost:latest", "student:latest"):
        tracker.use(name)
    tracker.log({"train/loss": 1.0}, step=1)
    assert (used, rows) == (["teacher:latest", "student:latest"], [{"train/loss": 1.0, "step": 1}])
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_without_artifacts_no_file_is_kept(settings: WandbSettings, tmp_path: Path) -> None:
    with wandb_run(replace(settings, artifacts=False), **CELL) as tracker:
        tracker.keep(never)
        tracker.summarise({"gain": 1.0})
    assert (only_run(settings).artifacts, only_run(settings).summary["gain"]) == ({}, 1.0)


def test_a_chart_that_cannot_be_made_stops_the_recording_and_not_the_training(
    settings: WandbSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.show(never)
    assert "called without a run" in warnings(caplog)[0]
    assert only_run(settings).exit_code == 0


def test_a_disabled_run_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = WandbSettings(project="students", directory=tmp_path / "out", mode="disabled")
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        tracker.summarise({"gain": 1.0})
        tracker.keep(lambda: note(tmp_path))
        tracker.use("teacher:latest")
    assert (offline_runs(settings.directory), warnings(caplog)) == ([], [])


def test_without_a_key_a_run_is_offline_and_silent(tmp_path: Path) -> None:
    ended = run_script(tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("trained\n", "", 0)
    assert [run.exit_code for run in offline_runs(tmp_path)] == [0]


@pytest.mark.parametrize("mode", [None, "online"])
def test_a_terminal_never_shows_a_prompt_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_SILENT", "false")
    screen, terminal = pty.openpty()
    ended = subprocess.run(
        script(tmp_path),
        check=False,
        cwd=REPOSITORY,
        timeout=90,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    assert ended.returncode == 0
    assert b"API key" not in os.read(screen, 100_000).replace(b"has no API key", b"")
    assert [len(run.history) for run in offline_runs(tmp_path)] == [2]


def test_online_without_a_key_is_recorded_offline_with_a_warning(
    settings: WandbSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with wandb_run(replace(settings, mode="online"), **CELL):
        pass
    assert only_run(settings).exit_code == 0
    assert warnings(caplog) == [
        "Weights & Biases has no API key: response-T4-s0 is recorded offline (run `wandb login`)"
    ]


def test_the_mode_of_the_environment_counts_and_an_explicit_one_wins(
    settings: WandbSettings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(wandb.teardown)  # a session keeps the environment in which it started
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with wandb_run(settings, **CELL):
        pass
    assert offline_runs(settings.directory) == []
    with wandb_run(replace(settings, mode="offline"), **CELL):
        pass
    assert only_run(settings).exit_code == 0


def test_a_machine_switched_to_offline_by_wandb_itself_stays_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "settings").write_text("[default]\nmode = offline\n")
    assert "Weights & Biases" not in run_script(tmp_path).stderr
    assert [run.exit_code for run in offline_runs(tmp_path)] == [0]


def test_entity_and_tags_of_the_environment_fill_what_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_ENTITY", "a-team")
    monkeypatch.setenv("WANDB_TAGS", "night,gpu")
    assert run_script(tmp_path).returncode == 0
    (run,) = offline_runs(tmp_path)
    assert (run.run.entity, list(run.run.tags)) == ("a-team", ["night", "gpu"])


@pytest.mark.parametrize("source", ["environment", "netrc"])
def test_with_a_key_and_no_network_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "0.5")
    if source == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    else:
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1:9 login user password {'k' * 40}\n")
    ended = run_script(tmp_path, timeout=25)  # under the 30 seconds that it waits by default
    assert (ended.stdout, ended.returncode) == ("trained\n", 0)
    assert ended.stderr.startswith("Weights & Biases does not record n, training goes on: ")
    assert ended.stderr.count("Weights & Biases") == 1
    assert "WANDB_MODE=offline" in ended.stderr


def test_a_resumed_stage_continues_the_same_online_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        first = run_script(tmp_path, "raise KeyboardInterrupt")
        resumed = run_script(tmp_path)
    assert [(row["step"], row["train/loss"]) for row in server.run.history] == [(1, 2.0), (2, 1.0)]
    assert (server.run.offsets, server.run.exit_codes) == ([0, 1], [255, 0])
    assert first.stderr.rstrip().endswith("KeyboardInterrupt") and "wandb:" not in first.stderr
    assert (resumed.stdout, resumed.stderr) == ("trained\n", "")


def test_uploading_the_files_of_a_killed_and_a_resumed_stage_gives_each_row_once(
    settings: WandbSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"step": step, "train/loss": 1.0} for step in range(5)]
    with pytest.raises(KeyboardInterrupt), wandb_run(settings, **CELL) as tracker:
        for row in rows[:3]:
            tracker.log(row, row["step"])
        raise KeyboardInterrupt
    assert [len(run.history) for run in offline_runs(settings.directory)] == [3]
    with wandb_run(settings, **CELL) as tracker:
        for row in rows:
            tracker.log(row, row["step"])
    assert [len(run.history) for run in offline_runs(settings.directory)] == [5]  # which has those of the first
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        folders = sorted((settings.directory / "wandb").glob("offline-run-*"))
        upload = [sys.executable, "-m", "wandb", "sync", *map(str, folders)]
        subprocess.run(upload, check=True, capture_output=True, timeout=90, cwd=settings.directory)
    assert [row["step"] for row in server.run.history] == [0, 1, 2, 3, 4]


def test_without_wandb_installed_the_training_goes_on(
    settings: WandbSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
    (warning,) = warnings(caplog)
    assert "import of wandb halted" in warning


def test_without_a_folder_to_write_to_the_training_goes_on(
    settings: WandbSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.directory.write_text("a file where the folder should be")
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
    (warning,) = warnings(caplog)
    assert "File exists" in warning and str(settings.directory) in warning


def test_a_row_that_wandb_refuses_stops_recording_and_the_run_is_still_closed(
    settings: WandbSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with wandb_run(settings, **CELL) as tracker:
        tracker.log({1: 1.0}, step=1)  # type: ignore[dict-item]
        tracker.log({"train/loss": 1.0}, step=2)
    (warning,) = warnings(caplog)
    assert warning.startswith("Weights & Biases stopped recording response-T4-s0, training goes on: ")
    assert (only_run(settings).history, only_run(settings).exit_code) == ([], 0)


def test_an_error_without_text_is_named_by_its_type(settings: WandbSettings, caplog: pytest.LogCaptureFixture) -> None:
    class Lost:
        def keys(self) -> list[str]:
            raise ConnectionResetError

    with wandb_run(settings, **CELL) as tracker:
        tracker.log(Lost(), step=1)  # type: ignore[arg-type]
    assert warnings(caplog)[0].endswith("training goes on: ConnectionResetError")


def test_when_the_process_behind_wandb_dies_the_training_goes_on(tmp_path: Path) -> None:
    kill = "subprocess.run(['pkill', '-KILL', '-P', str(os.getpid()), 'wandb-core'], check=True)"
    ended = run_script(tmp_path, kill)
    assert (ended.stdout, ended.returncode) == ("trained\n", 0)
    assert ended.stderr.count("Weights & Biases stopped recording n, training goes on: ") == 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"mode": "offlin"}, "logger.mode is one of online, offline, disabled or null, got 'offlin'"),
        ({"project": "a/b"}, "logger.project has 1 to 128 characters and none of / \\ # ? % :, got 'a/b'; "),
        ({"project": ""}, "logger.project has 1 to 128 characters and none of / \\ # ? % :, got ''; "),
        ({"artifacts": "no"}, "logger.artifacts must be true or false, got 'no'; try false"),
        ({"report": "yes"}, "logger.report must be true or false, got 'yes'; try true"),
        ({"tags": ("good", "")}, "logger.tags have 1 to 64 characters each, got ['']; shorten or drop them"),
        ({"tags": ("t" * 65,)}, f"logger.tags have 1 to 64 characters each, got ['{'t' * 65}']; shorten"),
    ],
)
def test_a_setting_that_wandb_would_refuse_is_bad_input(tmp_path: Path, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput) as seen:
        WandbSettings(**{"project": "kdlab", "directory": tmp_path, **wrong})
    assert str(seen.value).startswith(text)


def test_importing_the_module_does_not_import_wandb() -> None:
    code = "import sys, kdlab.tracking.wandb; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., DictConfig]:
    """Composes the logger group under a primary config like the package's own."""
    defaults = "defaults: [_self_, {logger: [csv]}]\ntags: [paper]\npaths: {outputs: outputs}\n"
    (tmp_path / "main.yaml").write_text(f"{defaults}hydra: {{searchpath: ['file://{REPOSITORY / 'conf'}']}}\n")

    def compose_logger(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(tmp_path), version_base=None):
            return compose("main", list(overrides)).logger

    return compose_logger


def test_csv_is_the_default_and_leaves_wandb_off(composed: Callable[..., DictConfig]) -> None:
    assert composed() == {"csv": True}
    assert composed().get("wandb") is None


@pytest.mark.parametrize("choice", ["logger=wandb", "logger=[wandb,csv]", "logger=[csv,wandb]"])
def test_wandb_is_chosen_by_itself_or_in_a_list(composed: Callable[..., DictConfig], choice: str) -> None:
    logger = composed(choice)
    assert logger.wandb is True
    assert (logger.project, logger.entity, logger.mode) == ("kdlab", None, None)
    assert (logger.tags, logger.directory, logger.group) == (["paper"], "outputs", None)
    assert ("csv" in logger) == ("csv" in choice)


def test_what_is_typed_wins_over_the_environment_and_that_over_the_default(
    composed: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROJECT", "ENTITY", "RUN_GROUP", "NOTES", "DIR"):
        monkeypatch.setenv(f"WANDB_{name}", f"env-{name}")
    logger = composed("logger=wandb", "logger.entity=typed", "logger.tags=[a,b]")
    assert (logger.project, logger.entity, logger.tags) == ("env-PROJECT", "typed", ["a", "b"])
    assert (logger.group, logger.notes, logger.directory) == ("env-RUN_GROUP", "env-NOTES", "env-DIR")
