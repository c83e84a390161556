"""Every recorded value of public implementations, and the call of kdlab's that has to match it."""

import re

import pytest

from kdlab.losses import (
    ContrastiveRepresentation,
    FactorTransfer,
    FlowOfSolution,
    Review,
    VariationalInformation,
    attention_transfer,
    ce,
    confidence_weighted_ce,
    correlation_congruence,
    cosine_distance,
    dist,
    dkd,
    factor_transfer,
    fsp,
    generalised_jsd,
    hierarchical_context,
    hint,
    normalised_distance,
    nst,
    pkt,
    response_kd,
    rkd_angle,
    rkd_distance,
    similarity_preserving,
    standardised_kd,
)
from tests.losses.golden import EXPECTED, FOLDER, golden_input, with_golden_weights

LOGITS = ("student_logits", "teacher_logits")
LABELLED = (*LOGITS, "labels")
MAPS = ("student_map", "teacher_map")
ALIKE = ("student_map_same", "teacher_map")
LARGER = ("student_map", "teacher_map_large")
VECTORS = ("student_vec", "teacher_vec")
TOKENS = ("student_tokens", "teacher_tokens", "token_labels")
FLOWS = ("student_map_same", "teacher_map", "teacher_maps_2")
WIDENED = ("student_map", "student_maps_2", "teacher_map", "teacher_maps_2")
STUDENT_LEVELS = ("student_map", "review_student_mid", "review_student_high")
TEACHER_LEVELS = ("teacher_map", "review_teacher_mid", "review_teacher_high")
CONTRASTED = (*VECTORS, "crd_labels", "crd_index", "crd_negatives")


def kd_at(temperature):
    return lambda student, teacher: response_kd(student, teacher, temperature)


def attention_of(power):
    return lambda student, teacher: attention_transfer(student, teacher, power)


def dkd_with(nontarget_weight):
    return lambda *inputs: dkd(*inputs, target_weight=1, nontarget_weight=nontarget_weight, temperature=4)


def dist_at(temperature):
    return lambda student, teacher: dist(student, teacher, 1, 1, temperature)


def jsd_at(beta, temperature=1):
    return lambda *inputs: generalised_jsd(*inputs, beta, temperature)


def both_relations(student, teacher):
    return 25 * rkd_distance(student, teacher) + 50 * rkd_angle(student, teacher)


def flow_of_a_batch_and_its_flip(student, teacher, later):
    return fsp((student, student.flip(0)), (teacher, later))


def standardised_without_its_factor(student, teacher):
    return standardised_kd(student, teacher, temperature=2) / 2**2


def shapes(*maps):
    return [one.shape[1:] for one in maps]


def variational(student, teacher):
    return with_golden_weights("vid", VariationalInformation(*shapes(student, teacher)), student)(student, teacher)


def widened_flow(low, high, *teacher):
    loss = with_golden_weights("fsp", FlowOfSolution(shapes(low, high), shapes(*teacher)), low)
    return loss((low, high), teacher)


def transferred_factors(student, teacher):
    return with_golden_weights("factor", FactorTransfer(*shapes(student, teacher)), student)(student, teacher)


def review_of_three_levels(*levels):
    """The highest is a vector: a map of one position."""
    maps = [level.reshape(*level.shape, *[1] * (4 - level.ndim)) for level in levels]
    student, teacher = maps[:3], maps[3:]
    loss = with_golden_weights("review", Review(shapes(*student), shapes(*teacher)), student[0])
    return loss(student, teacher)


def contrast_in_batch(number):
    """The first batch sets the constants and updates the banks; the second has the student's samples in reverse."""

    def call(student, teacher, labels, index, negatives):
        settings = {"dimension": 8, "negatives": 6, "temperature": 0.2, "momentum": 0.3}
        loss = ContrastiveRepresentation(*shapes(student, teacher), labels, **settings)
        with_golden_weights("crd", loss, student).draw_negatives = lambda at, seed: negatives[seed]
        batches = (student, student.flip(0))[:number]
        return [loss(own, teacher, index[seed], seed) for seed, own in enumerate(batches)][-1]

    return call


CALLS = {
    **{f"kd_T{temperature}": (kd_at(temperature), LOGITS) for temperature in (1, 2, 4, 6, 8)},
    "hint_mse": (hint, ALIKE),
    **{f"attention_transfer_p{power}": (attention_of(power), MAPS) for power in (1, 2, 4)},
    "attention_transfer_p2_teacher_larger": (attention_of(2), LARGER),
    "similarity_preserving": (similarity_preserving, MAPS),
    "correlation_congruence": (correlation_congruence, VECTORS),
    "pkt": (pkt, VECTORS),
    "rkd_distance": (rkd_distance, VECTORS),
    "rkd_angle": (rkd_angle, VECTORS),
    "rkd_25_50": (both_relations, VECTORS),
    "nst": (nst, MAPS),
    "factor_transfer": (factor_transfer, MAPS),
    "fsp": (flow_of_a_batch_and_its_flip, FLOWS),
    **{f"dkd_a1_b{weight}_T4": (dkd_with(weight), LABELLED) for weight in (8, 2)},
    "review_hcl": (hierarchical_context, ALIKE),
    **{f"dist_b1_g1_tau{temperature}": (dist_at(temperature), LOGITS) for temperature in (1, 4)},
    "kd_logit_standardised_T2_softonly_noT2": (standardised_without_its_factor, LOGITS),
    "jsd_beta0": (jsd_at(0), TOKENS),
    "jsd_beta0.5": (jsd_at(0.5), TOKENS),
    "jsd_beta1": (jsd_at(1), TOKENS),
    "jsd_beta0_T2": (jsd_at(0, temperature=2), TOKENS),
    "ce": (ce, ("student_logits", "labels")),
    "confidence_weighted_ce": (confidence_weighted_ce, LABELLED),
    "cosine_distance": (cosine_distance, ALIKE),
    "normalised_distance": (normalised_distance, ALIKE),
    "vid": (variational, MAPS),
    "vid_teacher_larger": (variational, LARGER),
    "fsp_widened": (widened_flow, WIDENED),
    "factor_module": (transferred_factors, MAPS),
    "review_fused": (review_of_three_levels, (*STUDENT_LEVELS, *TEACHER_LEVELS)),
    "crd_batch1": (contrast_in_batch(1), CONTRASTED),
    "crd_batch2": (contrast_in_batch(2), CONTRASTED),
}


def test_every_value_has_a_call_and_every_call_a_value():
    assert sorted(CALLS) == sorted(EXPECTED)
    assert len(CALLS) == 40


def test_every_value_has_a_row_that_says_where_it_comes_from():
    rows = [line.split(" | ") for line in (FOLDER / "README.md").read_text().splitlines() if line.count(" | ") == 3]
    named = [key for row in rows for key in re.findall(r"`([\w.]+)`", row[0])]
    assert sorted(named) == sorted(EXPECTED)


@pytest.mark.parametrize("key", sorted(CALLS))
def test_agrees_with_the_public_implementation(key):
    call, inputs = CALLS[key]
    value = call(*(golden_input(name) for name in inputs)).item()
    assert value == pytest.approx(EXPECTED[key], rel=1e-5, abs=0)
