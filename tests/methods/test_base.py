import pytest
import torch

from kdlab.errors import BadInput, TrainingFailed
from kdlab.methods import Distiller

TERMS = {"ce": {"weight": 0.3}, "response_kd": {"weight": 0.7}}


def test_a_term_of_weight_0_is_left_out_and_with_it_the_need_for_a_teacher():
    method = Distiller({"ce": {"weight": 1.0}, "response_kd": {"weight": 0.0}})
    assert [term.name for term in method.settings] == ["ce"]
    assert not method.needs_teacher
    assert Distiller(TERMS).needs_teacher


def test_terms_without_any_weight_are_refused():
    with pytest.raises(BadInput, match=r"loss\.terms needs at least one weight above 0, got ce"):
        Distiller({"ce": {"weight": 0}})


def test_a_state_that_is_not_finite_is_never_saved(monkeypatch):
    method = Distiller(TERMS)
    monkeypatch.setattr(Distiller, "current_epoch", 2)
    monkeypatch.setattr(Distiller, "global_step", 7)
    method.on_save_checkpoint({})
    nan = {"ce": torch.tensor(1.0), "response_kd": torch.tensor(torch.nan)}
    method.progress.add(torch.tensor(torch.nan), nan, samples=1, units=1.0)
    with pytest.raises(TrainingFailed, match=r"term response_kd, epoch 3, step 7\..*last good checkpoint is kept"):
        method.on_save_checkpoint({})
