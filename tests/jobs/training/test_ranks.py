import pickle

import torch

from kdlab.jobs.training import ranks
from kdlab.jobs.training.identity import stage_parts
from tests.small import tiny_plan


def test_ranks_compute_with_as_many_threads_as_their_stage_says_whatever_they_would_choose(tmp_path, monkeypatch):
    stage = tiny_plan("hardware.threads=null", "trainer.devices=2").student
    sent = []
    monkeypatch.setattr(ranks, "_start", lambda rank, count, port, frozen, folder: sent.append(pickle.loads(frozen)))
    monkeypatch.setattr(ranks, "_wait", lambda processes, folder: processes.clear())
    before = torch.get_num_threads()
    torch.set_num_threads(before + 3)
    try:
        ranks.train_with_ranks(stage, tmp_path, [], [], 2)
        said = stage_parts(stage)["hardware"]["threads"]
    finally:
        torch.set_num_threads(before)
    assert [received.hardware["threads"] for received, *_ in sent] == [before + 3] * 2 == [said] * 2
