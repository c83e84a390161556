import io
import os
import pickle
import subprocess
import sys

import pytest
import torch

from kdlab.config.compose import CONF
from kdlab.errors import TrainingFailed
from kdlab.jobs.training import ranks
from kdlab.jobs.training.checkpointing import no_report
from kdlab.jobs.training.identity import stage_parts
from kdlab.jobs.training.rank_reports import RankReports
from tests.small import tiny_plan


def test_ranks_use_the_thread_count_of_their_stage_and_not_their_default(tmp_path, monkeypatch):
    stage = tiny_plan("hardware.threads=null", "trainer.devices=2").student
    sent = []
    monkeypatch.setattr(ranks, "_start", lambda environment, payload, log, pipe: sent.append(pickle.loads(payload)))
    monkeypatch.setattr(ranks, "_wait", lambda processes, folder, reports: processes.clear())
    (tmp_path / ranks.FIGURES).write_text("{}")
    before = torch.get_num_threads()
    torch.set_num_threads(before + 3)
    try:
        ranks.train_with_ranks(stage, tmp_path, [], [], 2)
        hashed = stage_parts(stage)["hardware"]["threads"]
    finally:
        torch.set_num_threads(before)
    assert [received.hardware["threads"] for received, *_ in sent] == [before + 3] * 2 == [hashed] * 2


def late_pair(folder, *failure):
    """Exit codes and last lines of two ranks; rank 1 ends before rank 0 reaches the collective."""
    command = [sys.executable, "-m", "tests.jobs.training.late_rank", str(folder)]
    options = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": CONF.parent}
    pair = [subprocess.Popen([*command, rank], **options) for rank in "01"]
    for rank, process in enumerate(pair):
        payload = pickle.dumps(((folder, rank, *failure), None, None, None))
        process.stdin.write(len(payload).to_bytes(8, "big") + payload)
        process.stdin.flush()
    codes = [process.wait(timeout=120) for process in pair]
    return codes, [process.stderr.read().decode().strip().splitlines()[-1:] for process in pair]


def test_a_rank_whose_last_collective_ends_late_exits_with_0(tmp_path):
    codes, lines = late_pair(tmp_path)
    assert codes == [0, 0], lines


def test_a_rank_that_fails_ends_at_once_and_prints_the_reason_in_its_last_line(tmp_path):
    codes, lines = late_pair(tmp_path, TrainingFailed("the loss is not finite:\n  lower optimizer.lr"))
    assert codes[1] == 1
    assert lines[1] == ["the loss is not finite: lower optimizer.lr"]


@pytest.mark.parametrize(
    ("scripts", "text"),
    [
        (
            ("sleep 0.3; echo Connection closed by peer; exit 1", "echo no space; exit 1"),
            "Rank 1 of 2 failed: no space",
        ),
        (("sleep 0.3; echo no space; exit 1", "exit 0"), "Rank 0 of 2 failed: no space"),
        (("exit 0", "echo Step 7; kill -9 $$"), "Rank 1 of 2 failed: Step 7 (ended by SIGKILL)"),
    ],
)
def test_the_first_rank_to_fail_is_quoted_also_when_all_have_ended(scripts, text, tmp_path):
    processes = []
    for rank, script in enumerate(scripts):
        with (tmp_path / f"rank{rank}.log").open("wb") as log:
            processes.append(subprocess.Popen(["sh", "-c", script], stdout=log))
    for process in processes:
        process.wait()
    with pytest.raises(TrainingFailed) as raised:
        ranks._wait(processes, tmp_path, RankReports(no_report))
    assert str(raised.value) == text


def test_ranks_get_the_address_of_the_rendezvous_and_the_parents_environment_is_unchanged(tmp_path, monkeypatch):
    environments = []

    class Rank:
        stdin = io.BytesIO()
        kill = wait = poll = lambda self: 0

    monkeypatch.setattr(ranks.subprocess, "Popen", lambda command, env, **options: environments.append(env) or Rank())
    (tmp_path / ranks.FIGURES).write_text("{}")
    before = dict(os.environ)
    ranks.train_with_ranks(tiny_plan("trainer.devices=2").student, tmp_path, [], [], 2, address="127.0.0.2")
    assert dict(os.environ) == before
    assert {environment["MASTER_ADDR"] for environment in environments} == {"127.0.0.2"}
    assert [environment["LOCAL_RANK"] for environment in environments] == ["0", "1"]
