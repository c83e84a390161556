import pytest
from omegaconf import OmegaConf

from kdlab.config.folders import CONF
from kdlab.reporting.assemble import collect
from kdlab.reporting.collect.published import table
from kdlab.settings.old_names import without_old_names
from tests.reporting.lab import Lab

PAIR = {"data._target_": "kdlab.data.CIFAR100", "model.teacher.name": "resnet56", "model.student.name": "resnet20"}


def test_published_figures_stand_beside_the_method_of_the_same_pair(tmp_path):
    lab = Lab(tmp_path)
    for loss, student in (("response", 70.0), ("dkd", 71.0)):
        lab.run(student, 69.0, settings={**PAIR, "name": loss})
    rows = {row["method"]: row for row in collect([tmp_path]).published}
    assert (rows["KD"]["teacher"], rows["KD"]["student_alone"], rows["KD"]["student"]) == (72.34, 69.06, 70.66)
    assert (rows["KD"]["here"].mean, rows["DKD"]["here"].mean, rows["CRD"]["here"]) == (70.0, 71.0, None)
    assert "arXiv:2203.08679" in rows["DKD"]["source"]
    assert len(rows) == 10


def test_a_run_of_an_options_old_name_counts_as_one_of_its_new_name(tmp_path):
    Lab(tmp_path).run(70.0, 69.0, settings={**PAIR, "name": "fitnet"})
    rows = {row["method"]: row for row in collect([tmp_path]).published}
    assert rows["FitNet"]["here"].mean == 70.0


def test_other_pairs_and_other_data_have_no_rows(tmp_path):
    Lab(tmp_path).run(70.0, 69.0, settings={**PAIR, "data._target_": "kdlab.data.Digits"})
    assert collect([tmp_path]).published == ()


def test_the_benchmark_is_complete_with_kdlabs_names():
    rows = [row for row in table() if row["data"] == "CIFAR100" and row["teacher_network"]]
    networks = {OmegaConf.load(path).get("name") for path in (CONF / "network").glob("*.yaml")}
    losses = set(without_old_names("loss", (path.stem for path in (CONF / "loss").glob("*.yaml"))))
    assert len({(row["teacher_network"], row["student_network"]) for row in rows}) == 14  # 13 pairs and one more
    assert {row[role] for row in rows for role in ("teacher_network", "student_network")} <= networks
    assert {row["loss"] for row in rows} <= losses


def test_every_row_has_a_figure_and_a_source():
    for row in table():
        figures = [row[name] for name in ("teacher", "student_alone", "student") if row[name]]
        assert figures and all(float(figure) > 0 for figure in figures)
        assert row["source"] and row["metric"]


@pytest.mark.parametrize(
    ("teacher", "student", "method", "figure"),
    [
        ("wrn_40_2", "wrn_16_2", "FitNet", "73.58"),
        ("resnet32x4", "resnet8x4", "KD+LS", "76.62"),
        ("vgg13", "mobilenetv2_half", "AT", "59.40"),
        ("wrn_40_2", "shufflenetv1", "DKD", "76.70"),
        ("resnet50_cifar", "vgg8", "KD", "73.81"),
    ],
)
def test_figures_are_as_they_were_published(teacher, student, method, figure):
    pair = [row for row in table() if (row["teacher_network"], row["student_network"]) == (teacher, student)]
    assert [row["student"] for row in pair if row["method"] == method] == [figure]
