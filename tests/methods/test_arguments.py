"""Methods follow their arguments: built in Python they equal those built from a config."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from kdlab.config.folders import CONF
from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_method
from kdlab.methods import (
    AttentionTransfer,
    BornAgain,
    DecoupledDistillation,
    FeatureDistillation,
    MeanTeacher,
    MutualLearning,
    Progressive,
    SoftTargets,
    TeacherStudent,
)
from kdlab.methods.shares import Shares
from kdlab.methods.terms import BuildContext, LossInputs
from kdlab.models.taps import Outputs
from tests.small import tiny_plan

SHAPES = {role: torch.Size([3, side, side]) for role, side in (("low", 8), ("mid", 4), ("high", 2))}
OPTIONS = {
    AttentionTransfer: "attention",
    BornAgain: "born_again",
    DecoupledDistillation: "dkd",
    FeatureDistillation: "feature",
    MutualLearning: "mutual",
    Progressive: "progressive",
    MeanTeacher: "mean_teacher",
    TeacherStudent: "response",
}


class Sample:
    """Outputs and labels at random, as tensors and as arrays; the values of losses by their definitions."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.own, self.other = rng.normal(0, 3, (2, 7, 5))
        self.labels = rng.integers(0, 5, 7)
        self.maps = [{role: rng.normal(size=(7, *shape)) for role, shape in SHAPES.items()} for _ in range(2)]

    def total(self, method, epoch=20):
        """The loss of a method in an epoch in which all terms have their full weight."""
        method.build_terms(BuildContext(SHAPES, [SHAPES], num_classes=5))
        student, teacher = (
            Outputs(torch.tensor(logits), {role: torch.tensor(maps) for role, maps in features.items()})
            for logits, features in zip((self.own, self.other), self.maps, strict=True)
        )
        inputs = LossInputs(torch.tensor(self.labels), None, seed=0, epoch=epoch)
        values = method.values(student, [(teacher, 1.0)], inputs, Shares())
        weights = {term.name: term.weight_at(epoch) for term in method.settings}
        return sum(weights[name] * value.item() for name, value in values.items())

    def ce(self, logits=None):
        return -log_softmax(self.own if logits is None else logits, axis=1)[np.arange(7), self.labels].mean()

    def kd(self, temperature, swapped=False):
        own, other = (self.other, self.own) if swapped else (self.own, self.other)
        target = softmax(other / temperature, 1)
        return temperature**2 * (target * (np.log(target) - log_softmax(own / temperature, 1))).sum(1).mean()

    def dkd(self, temperature, target_weight, nontarget_weight):
        target, own = (softmax(logits / temperature, 1) for logits in (self.other, self.own))
        rows = np.arange(7)
        right, own_right = target[rows, self.labels], own[rows, self.labels]
        binary = right * np.log(right / own_right) + (1 - right) * np.log((1 - right) / (1 - own_right))
        wrong = np.ones((7, 5), bool)
        wrong[rows, self.labels] = False
        rest, own_rest = (p[wrong].reshape(7, 4) / (1 - q)[:, None] for p, q in ((target, right), (own, own_right)))
        among = (rest * np.log(rest / own_rest)).sum(1)
        return temperature**2 * (target_weight * binary + nontarget_weight * among).mean()

    def feature(self):
        return sum(
            ((unit(self.maps[0][role]) - unit(self.maps[1][role])) ** 2).sum(1).mean() for role in ("mid", "high")
        )

    def attention(self):
        energies = [{role: (maps**2).mean(1) for role, maps in features.items()} for features in self.maps]
        return sum(((unit(energies[0][role]) - unit(energies[1][role])) ** 2).mean() for role in SHAPES)

    def cwtm(self):
        confidence = softmax(self.other, 1).max(1)
        nll = -log_softmax(self.own, axis=1)[np.arange(7), self.labels]
        return (confidence / confidence.sum() * nll).sum()


def unit(maps):
    flat = maps.reshape(len(maps), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def chosen(seed):
    """Valid arguments: a temperature, alpha, beta and gamma that sum to 1, and two weights."""
    rng = np.random.default_rng(seed)
    alpha, beta, gamma = (float(share) for share in rng.dirichlet([1, 1, 1]))
    return float(rng.uniform(0.5, 9)), alpha, beta, gamma, *(float(weight) for weight in rng.uniform(0, 9, 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_the_formula_of_the_arguments(seed):
    sample, (t, a, b, c, v, w) = Sample(seed), chosen(seed)
    step = seed
    higher, lower = min(t + 2 * step, 20), max(a - 0.05 * step, min(a, 0.1))
    for method, expected in (
        (TeacherStudent(temperature=t, alpha=a), a * sample.kd(t) + (1 - a) * sample.ce()),
        (SoftTargets(temperature=t), sample.kd(t) + sample.ce()),
        (BornAgain(temperature=t, alpha=a), a * sample.kd(t) + (1 - a) * sample.ce()),
        (BornAgain(temperature=t, alpha=a, treatment="cwtm"), sample.cwtm()),
        (
            Progressive(t, a, temperature_step=2.0, alpha_step=0.05, step=step),
            lower * sample.kd(higher) + (1 - lower) * sample.ce(),
        ),
        (MeanTeacher(temperature=t, alpha=a), a * sample.kd(t) + (1 - a) * sample.ce()),
        (
            MutualLearning(temperature=t),
            sample.kd(t) + sample.ce() + sample.kd(t, swapped=True) + sample.ce(sample.other),
        ),
        (DecoupledDistillation(t, target_weight=v, nontarget_weight=w), sample.ce() + sample.dkd(t, v, w)),
        (FeatureDistillation(t), sample.kd(t) + sample.feature() + sample.ce()),
        (FeatureDistillation(t, a, b, c), a * sample.kd(t) + b * sample.feature() + c * sample.ce()),
        (AttentionTransfer(), 1000 * sample.attention() + sample.ce()),
    ):
        assert sample.total(method) == pytest.approx(expected, rel=1e-4), type(method).__name__


def described(method):
    """The settings of its terms, with the defaults of their losses."""
    terms = {}
    for term in method.settings:
        bound = inspect.signature(term.loss).bind_partial(**term.arguments)
        bound.apply_defaults()
        terms[term.name] = replace(term, arguments=bound.arguments)
    return list(terms.items())


@pytest.mark.parametrize(("kind", "option"), OPTIONS.items(), ids=OPTIONS.values())
def test_a_method_built_from_plain_arguments_equals_its_option(kind, option):
    stage = tiny_plan(f"loss={option}", "plan=single").student
    plain = {name: value for name, value in stage.loss.items() if name not in ("_target_", "terms")}
    assert described(kind(**plain)) == described(make_method(stage))


def test_settings_in_terms_override_arguments_and_further_terms_are_added():
    terms = {"response_kd": {"weight": 2.0}, "hint": {"taps": ["mid"], "weight": 5.0}}
    method = TeacherStudent(temperature=9, alpha=0.1, terms=terms)
    assert {term.name: term.weight for term in method.settings} == {"ce": 0.9, "response_kd": 2.0, "hint": 5.0}
    assert {term.name: term.arguments for term in method.settings}["response_kd"] == {"temperature": 9}


def test_none_leaves_a_term_out_and_so_does_removing_it_from_a_config():
    assert [term.name for term in TeacherStudent(9, 0.1, terms={"ce": None}).settings] == ["response_kd"]
    stage = tiny_plan("plan=single", "~loss.terms.ce").student
    assert [term.name for term in make_method(stage).settings] == ["response_kd"]


def test_a_config_has_only_the_terms_that_it_lists():
    names = {
        option: {term.name for term in make_method(tiny_plan(f"loss={option}").student).settings} for option in LISTED
    }
    assert names == LISTED


LISTED = {"dist": {"ce", "dist"}, "standardised_kd": {"ce", "standardised_kd"}}


def test_a_config_without_terms_has_those_made_from_its_arguments(tmp_path):
    stage = tiny_plan("plan=single").student
    loss = {name: value for name, value in stage.loss.items() if name != "terms"}
    bare = replace(stage, loss=loss)
    assert described(make_method(bare)) == described(make_method(stage))
    assert bare.fingerprint


def test_every_option_has_its_class_here():
    targets = {path.stem: path.read_text() for path in (CONF / "loss").glob("*.yaml")}
    others = {"_target_: kdlab.methods.Distiller", "_target_: kdlab.methods.SoftTargets"}
    left = {name for name, text in targets.items() if "_target_" in text and not others & set(text.splitlines())}
    assert left - {"self_attention_distillation", "relation"} == set(OPTIONS.values())


@pytest.mark.parametrize("alpha", [1.5, "much", None])
def test_arguments_out_of_their_range_are_refused_also_in_python(alpha):
    with pytest.raises(BadInput, match=r"^loss\.alpha must lie in \[0, 1\]"):
        TeacherStudent(temperature=4, alpha=alpha)
