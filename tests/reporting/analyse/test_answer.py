"""Every sentence is compared with figures worked out by hand or by scipy."""

import numpy as np
import pytest
from scipy import stats

from kdlab.reporting.analyse.remarks import SIGNIFICANT
from kdlab.reporting.assemble import collect
from tests.reporting.lab import Lab, figures


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def spread(values):
    """Half of a t-interval, to one decimal."""
    return f"{stats.t.ppf(0.975, len(values) - 1) * stats.sem(values):.1f}"


def test_a_temperature_is_chosen_on_validation_and_stated_on_test(lab):
    better = [(98.4, 92.6, 97.5), (98.8, 93.0, 98.0), (98.3, 93.1, 97.9)]  # gains 5.8 5.8 5.2
    worse = [(98.3, 92.6, 97.0), (98.2, 93.0, 97.2), (98.6, 93.1, 97.1)]  # better by 0.1, 0.6, −0.3
    evidence = collect([lab.grid("loss.temperature", {8.0: worse, 4.0: better})])
    half, gain, ahead = (spread(values) for values in ([98.4, 98.8, 98.3], [5.8, 5.8, 5.2], [0.1, 0.6, -0.3]))
    assert evidence.answer == (
        f"T 4 is best by validation accuracy (97.8 %): test accuracy 98.5 ± {half} %, a gain of +5.6 ± {gain} points "
        f"over the same student without a teacher (3 seeds); its lead over T 8 (+0.1 ± {ahead} points) is smaller than "
        "its uncertainty."
    )
    assert evidence.best is evidence.settings[0]


def test_the_best_on_test_is_not_chosen(lab):
    evidence = collect([lab.grid("loss.temperature", {2.0: [(99.0, 90.0, 94.0)], 8.0: [(94.0, 90.0, 96.0)]})])
    assert evidence.answer.startswith("T 8 is best by validation accuracy (96.0 %): test accuracy 94.0 %")
    assert "on test T 2, the second, is ahead of it by 5.0 points with one seed, so luck is not ruled out" in (
        evidence.answer
    )


def test_a_clear_lead_is_called_one(lab):
    far = [(98.0, 90.0, 97.0), (98.1, 90.0, 97.0), (98.2, 90.0, 97.0)]
    low = [(92.0, 90.0, 91.0), (92.2, 90.0, 91.0), (92.1, 90.0, 91.0)]
    answer = collect([lab.grid("loss.alpha", {0.5: far, 0.9: low})]).answer
    assert f"; it leads alpha 0.9, the second, by 6.0 ± {spread([6.0, 5.9, 6.1])} points." in answer


def test_equal_settings_are_called_equal(lab):
    same = [(95.0, 90.0, 94.0), (96.0, 90.0, 95.0)]
    answer = collect([lab.grid("loss.alpha", {0.5: same, 0.7: same})]).answer
    assert answer.startswith("alpha 0.5 and alpha 0.7 are equal, and best, by validation accuracy (94.5 %)")
    assert "on test alpha 0.7, the second, is as good" in answer


def test_a_gain_smaller_than_its_uncertainty_is_called_that(lab):
    values = [(90.5, 90.0, 90.0), (89.9, 90.0, 90.0), (90.8, 90.0, 90.0)]
    other = [(88.0, 90.0, 80.0), (88.1, 90.0, 80.0), (88.2, 90.0, 80.0)]
    answer = collect([lab.grid("loss", {"dkd": values, "crd": other}, name="methods")]).answer
    assert answer.startswith("loss dkd is best by validation accuracy (90.0 %)")
    gain = f"a gain of +0.4 ± {spread([0.5, -0.1, 0.8])} points over the same student without a teacher"
    assert f"{gain}, smaller than its uncertainty (3 seeds)" in answer


def test_a_loss_is_called_a_loss(lab):
    values = [(88.0, 90.0, 90.0), (88.1, 90.0, 90.0), (88.2, 90.0, 90.0)]
    for seed, (student, baseline, val) in enumerate(values):
        lab.run(student, baseline, val=val, seed=seed)
    answer = collect([lab.root]).answer
    assert answer.startswith(f"No: a loss of 1.9 ± {spread([2.0, 1.9, 1.8])} points against the same student")


def test_a_sweep_of_seeds_shows_whether_the_gain_is_more_than_luck(lab):
    gains = [5.0, 6.0, 5.5, 5.2, 5.8]
    right = np.arange(200) < 180
    for seed, gain in enumerate(gains):
        lab.run(90 + gain, 90.0, seed=seed, right={"student": np.arange(200) < 191, "baseline": right})
    evidence = collect([lab.root])
    p = stats.ttest_1samp(gains, 0).pvalue
    assert evidence.question == "Is the gain more than luck?"
    assert evidence.answer.startswith(f"Yes: a gain of +5.5 ± {spread(gains)} points over the same student without a")
    assert "95.5 ± 0.5 % against 90.0 ± 0.0 %; 5 seeds; bootstrap over test samples +" in evidence.answer
    assert f"paired t-test {'p < 0.0001' if p < 0.0001 else f'p = {p:.2g}'}" in evidence.answer


def test_a_gain_over_seeds_that_another_test_set_could_reverse_is_not_settled(lab):
    student, baseline = np.arange(40) < 37, np.arange(40) >= 5  # 92.5 and 87.5 %, wrong on other samples
    for seed in range(4):
        lab.run(92.5 + seed / 10, 87.5, seed=seed, right={"student": student, "baseline": baseline})
    evidence = collect([lab.root])
    assert evidence.settings[0].gain.bootstrap[0] < 0
    assert evidence.answer.startswith("Not settled (another test set could reverse it): a gain of +5.1 ± 0.2 points")


def test_seeds_that_do_not_agree_show_nothing(lab):
    for seed, student in enumerate((91.0, 89.5, 90.2)):
        lab.run(student, 90.0, seed=seed)
    assert collect([lab.root]).answer.startswith("Not shown: a gain of +0.2 ± 1.9 points")


def test_one_seed_has_no_interval_and_a_test_over_samples(lab):
    right = {"student": np.arange(100) < 95, "baseline": np.arange(100) < 88}
    lab.run(95.0, 88.0, right=right)
    evidence = collect([lab.root])
    assert evidence.answer.startswith(
        "Luck is not ruled out with one seed: a gain of +7.0 points over the same student"
    )
    assert "one seed: no interval" in evidence.answer
    assert evidence.settings[0].gain.p == pytest.approx(stats.binomtest(7, 7).pvalue)


def test_without_a_baseline_no_gain_is_stated(lab):
    lab.run(95.0)
    evidence = collect([lab.root])
    assert evidence.answer == (
        "The student reaches 95.0 % of test accuracy (one seed: no interval); there is no baseline, so no gain can be "
        "stated."
    )
    assert evidence.settings[0].gain is None


def test_without_validation_images_nothing_is_ranked(lab):
    for value, student in ((2.0, 95.0), (4.0, 97.0)):
        lab.run(student, 90.0, settings={"loss.temperature": value, "data.val_fraction": 0.0})
    evidence = collect([lab.root])
    assert evidence.best is None
    assert [setting.label for setting in evidence.settings] == ["T 2", "T 4"]
    assert evidence.answer == (
        "No samples were held out for validation (data.val_fraction=0), so nothing is chosen; the gains of 2 settings "
        "over the baseline run from +5.0 to +7.0 points."
    )


def test_different_data_are_not_ranked(lab):
    lab.run(95.0, 90.0)
    lab.run(60.0, 50.0, settings={"data._target_": "kdlab.data.CIFAR10"})
    evidence = collect([lab.root])
    assert evidence.best is None
    assert evidence.answer.startswith(
        "These runs are on different data (CIFAR10, Digits), whose figures do not compare"
    )


def test_all_failed_is_an_answer_too(lab):
    lab.failed("the loss is not finite", typed=["loss.temperature=4"])
    lab.failed("no such tap", typed=["loss.temperature=8"])
    evidence = collect([lab.root])
    assert evidence.answer == "No run finished: all 2 cells have no result."
    assert (evidence.best, evidence.settings, len(evidence.failures)) == (None, (), 2)


def test_generations_are_measured_against_the_first_and_the_control(lab):
    born = {"name": "born_again", "plan._target_": "kdlab.jobs.plans.born_again.born_again"}
    first, second, control = [92.0, 93.0, 92.5], [93.0, 93.2, 93.1], [95.0, 95.5, 95.2]
    for seed in range(3):
        one, two = figures(first[seed], first[seed]), figures(second[seed], second[seed])
        only_first = {"generations": [one], "teacher": None}
        lab.run(first[seed], seed=seed, settings={**born, "plan.generations": 1}, result=only_first)
        both = {"generations": [one, two], "control": figures(control[seed])}
        lab.run(second[seed], first[seed], seed=seed, settings={**born, "plan.generations": 2}, result=both)
    evidence = collect([lab.root])
    gain, lost = spread([1.0, 0.2, 0.6]), spread([2.0, 2.3, 2.1])
    assert evidence.answer.startswith(
        f"generations 2 is best by validation accuracy (93.1 %): test accuracy 93.1 ± 0.2 %, a gain of +0.6 ± {gain} "
        "points over generation 1, smaller than its uncertainty (3 seeds); that is a loss of "
        f"2.1 ± {lost} points against the same network trained for as many epochs from labels only"
    )
    assert evidence.settings[0].figures["generation2/test/accuracy"].mean == pytest.approx(np.mean(second))
    assert not any("TEACHER" in remark for remark in evidence.remarks)


def test_cascades_are_measured_against_one_step(lab):
    for seed in range(3):
        lab.run(94.0 + seed / 10, 90.0, val=94.0, seed=seed, typed=["plan=single"])
        settings = {"plan._target_": "kdlab.jobs.plans.assistant.assistant"}
        result = {"control": figures(94.0 + seed / 10)}
        lab.run(95.0 + seed / 5, 90.0, val=95.0, seed=seed, settings=settings, result=result, typed=["plan=assistant"])
    answer = collect([lab.root]).answer
    assert answer.startswith("plan assistant is best by validation accuracy (95.0 %)")
    above = (
        f"that is a gain of +1.1 ± {spread([1.0, 1.1, 1.2])} points over the same network trained for as many epochs"
    )
    assert f"{above} in one step from the teacher; it leads plan single, the second, by 1.1 ±" in answer


def fair(lab, rates, **others):
    """A student at 97, 98, 97.5, and baselines by learning rate: `(test, val)` of each seed."""
    for rate, baselines in rates.items():
        for seed, (test, val) in enumerate(baselines):
            settings = {"plan.baseline.optimizer.lr": rate, **others}
            typed = [f"plan.baseline.optimizer.lr={rate}"]
            lab.run(97 + [0, 1, 0.5][seed], test, val=99, baseline_val=val, seed=seed, settings=settings, typed=typed)


def test_a_fair_baseline_is_the_baseline_that_is_best_on_validation(lab):
    fair(lab, {0.1: [(92.0, 91.0), (92.5, 91.0), (92.2, 91.0)], 0.3: [(94.0, 95.0), (94.9, 95.0), (94.5, 95.0)]})
    evidence = collect([lab.root])
    assert evidence.question == "Does a better-tuned baseline close the gap?"
    left, closed, before = (spread(values) for values in ([3.0, 3.1, 3.0], [2.0, 2.4, 2.3], [5.0, 5.5, 5.3]))
    assert evidence.answer == (
        f"baseline lr 0.3 is the best of 2 baselines by validation accuracy (95.0 %): test accuracy 94.5 ± 1.1 %; the "
        f"student (97.5 ± 1.2 %) has a gain of +3.0 ± {left} points over it (3 seeds); tuning closed 2.2 ± {closed} "
        f"points of the +5.3 ± {before} points over the baseline with the student's own recipe."
    )


def test_tuning_that_ends_at_the_students_recipe_closes_nothing(lab):
    fair(lab, {0.1: [(94.0, 95.0), (94.9, 95.0)], 0.3: [(92.0, 91.0), (92.5, 91.0)]})
    assert "baseline with the student's own recipe, so tuning closed nothing of the gap" in collect([lab.root]).answer


def test_where_no_baseline_has_the_students_recipe_the_range_is_stated(lab):
    fair(lab, {0.2: [(94.0, 95.0), (94.9, 95.0)], 0.3: [(92.0, 91.0), (92.0, 91.0)]})
    assert "over the baselines as a whole the gain runs from +3.0 to +5.5 points" in collect([lab.root]).answer


def test_several_baselines_are_compared_with_the_best_of_them(lab):
    for rate, baseline, student in ((0.1, 90.0, 97.0), (0.3, 95.0, 96.0)):
        for seed in range(2):
            result = {"baseline": figures(baseline + seed, baseline)}
            settings = {"optimizer.lr": rate}
            lab.run(
                student + seed, val=student, seed=seed, settings=settings, result=result, typed=[f"optimizer.lr={rate}"]
            )
    remarks = collect([lab.root]).remarks
    expected = (
        "lr 0.1 has a gain of +2.0 ± 0.0 points over the best of them by validation accuracy (that of lr 0.3; 2 seeds)"
    )
    assert any(expected in remark for remark in remarks)


def test_a_teacher_below_the_baseline_is_the_first_remark(lab):
    lab.run(95.0, 92.9, teacher=90.1)
    first = collect([lab.root]).remarks[0]
    assert first.startswith("THE TEACHER IS WORSE THAN THE BASELINE here (90.1 against 92.9 % on test)")


def test_a_teacher_with_given_weights_is_flagged(lab):
    stage = {"name": "teacher", "fingerprint": "t", "epochs": 0, "seconds": 0.0}
    given = {"model.teacher.checkpoint": "/weights/resnet56.pt"}
    lab.run(95.0, 92.9, settings=given, result={"stages": [stage]})
    (remark,) = [remark for remark in collect([lab.root]).remarks if "made elsewhere" in remark]
    assert "(resnet56.pt)" in remark
    assert "validation accuracy of its students may be too good" in remark


def test_a_teacher_trained_here_is_not_flagged_and_bounds_the_intervals(lab):
    for seed in range(2):
        lab.run(95.0 + seed, 92.9, seed=seed)
    remarks = " ".join(collect([lab.root]).remarks)
    assert "made elsewhere" not in remarks
    assert "The seeds share one teacher: the intervals are conditional on it" in remarks


def test_teachers_that_vary_with_the_seed_are_remarked(lab):
    for seed in range(2):
        stages = [{"name": "teacher", "fingerprint": f"t{seed}", "epochs": 9, "seconds": 1.0}]
        lab.run(95.0 + seed, 92.9, seed=seed, result={"stages": stages})
    assert any(remark.startswith("The teacher varies with the seed") for remark in collect([lab.root]).remarks)


def test_the_edge_of_what_was_tried_is_pointed_out(lab):
    values = {value: [(90.0 + value, 88.0, 90.0 + value)] for value in (2.0, 4.0, 8.0)}
    assert "T 8 is the largest value tried: the best one may lie beyond it." in (
        collect([lab.grid("loss.temperature", values)]).remarks
    )


def test_missing_seeds_are_named(lab):
    values = {2.0: [(90.0, 88.0, 91.0), (90.5, 88.0, 91.0)], 4.0: [(92.0, 88.0, 93.0)]}
    remarks = collect([lab.grid("loss.temperature", values)]).remarks
    assert "Not all settings have the same seeds: T 4 without seed 1." in remarks


def test_holms_correction_counts_the_settings(lab):
    random = np.random.default_rng(1)
    draws = {value: 90 + random.normal(0.5, 0.4, size=4) for value in (1.0, 2.0, 3.0, 4.0, 5.0)}
    values = {value: [(student, 90.0, 90.0 + value / 9) for student in drawn] for value, drawn in draws.items()}
    evidence = collect([lab.grid("loss.temperature", values)])
    raw = {value: stats.ttest_1samp(drawn - 90, 0).pvalue for value, drawn in draws.items()}
    order = sorted(raw, key=raw.get)
    stepped = [min(1, (len(order) - index) * raw[value]) for index, value in enumerate(order)]
    expected = dict(zip(order, np.maximum.accumulate(stepped), strict=True))
    found = {setting.values["loss.temperature"]: setting.gain.p_holm for setting in evidence.settings}
    assert found == pytest.approx(expected)
    below = sum(p < SIGNIFICANT for p in expected.values())
    assert any(
        remark.startswith(f"After Holm's correction for 5 comparisons with the baseline, {below or 'none'} ha")
        for remark in evidence.remarks
    )


def test_the_recovered_gap_is_of_means_and_absent_where_the_gap_is_chance(lab):
    for seed, baseline in enumerate((90.0, 92.0)):
        lab.run(95.0, baseline, seed=seed, teacher=99.0)
    (setting,) = collect([lab.root]).settings
    assert "gap_recovered" not in setting.figures  # 9 and 7 points: 8 ± 12.7
    for seed, baseline in enumerate((91.0, 91.2, 91.1), 2):
        lab.run(95.0, baseline, seed=seed, teacher=99.0)
    (setting,) = collect([lab.root]).settings
    gains, gaps = np.mean([5, 3, 4, 3.8, 3.9]), np.mean([9, 7, 8, 7.8, 7.9])
    assert setting.figures["gap_recovered"].mean == pytest.approx(gains / gaps)


def test_the_natural_end_of_a_share_is_no_edge(lab):
    values = {value: [(90.0 + value, 88.0, 90.0 + value)] for value in (0.5, 0.9, 1.0)}
    assert not any(
        "the best one may lie beyond it" in remark for remark in collect([lab.grid("loss.alpha", values)]).remarks
    )


def test_seeds_without_a_baseline_do_not_count_for_the_gain(lab):
    for seed, baseline in enumerate((90.0, 91.0, None)):
        lab.run(95.0, baseline, seed=seed, settings={"loss.temperature": 2.0}, typed=["loss.temperature=2"])
        lab.run(90.0, baseline, val=80, seed=seed, settings={"loss.temperature": 4.0}, typed=["loss.temperature=4"])
    answer = collect([lab.root]).answer
    gain = "a gain of +4.5 ± 6.4 points over the same student without a teacher in the 2 seeds with a baseline"
    assert f"{gain}, smaller than its uncertainty (3 seeds)" in answer


def test_the_best_of_a_long_search_is_remarked_as_lucky_on_validation(lab):
    values = {value / 7: [(90.0, 88.0, 90.0 + value)] for value in range(1, 11)}
    remarks = collect([lab.grid("loss.alpha", values)]).remarks
    expected = "The best of 10 settings by validation accuracy was partly lucky there: 100.0 % is optimistic, its test"
    assert any(expected in remark for remark in remarks)


@pytest.mark.parametrize(("change", "made"), [("pruning", "pruned"), ("quantisation", "quantised")])
def test_a_changed_student_is_measured_against_the_one_that_learns_from_labels(change, made, lab):
    compress = {"plan._target_": "kdlab.jobs.plans.compress.compress"}
    for seed, gain in enumerate([1.0, 1.2, 1.4]):
        lab.run(95 + gain, 95.0, seed=seed, settings=compress, result={change: {"of": "unpruned"}})
    assert (
        f"a gain of +1.2 ± {spread([1.0, 1.2, 1.4])} points over the same {made} network fine-tuned with labels only"
        in collect([lab.root]).answer
    )
