import pytest

from kdlab.errors import BadInput
from kdlab.tasks.base import task_of
from kdlab.tasks.description import IMAGE_CLASSIFICATION, Description, Metric
from kdlab.tasks.image_classification import ImageClassification
from tests.tasks.tokens import NEXT_SYMBOL, NextSymbol, Sequences

ACCURACY = IMAGE_CLASSIFICATION.headline
PERPLEXITY = NEXT_SYMBOL.headline


def test_a_gain_is_above_zero_where_ours_is_better():
    assert ACCURACY.gain(92.0, 90.5) == 1.5
    assert PERPLEXITY.gain(15.0, 20.0) == 25.0
    assert PERPLEXITY.gain(25.0, 20.0) == -25.0
    assert Metric("loss", "loss", higher_is_better=False).gain(1.0, 3.0) == 2.0


def test_texts_name_the_metric_its_unit_and_its_direction():
    assert (ACCURACY.show(98.2), ACCURACY.brief(98.2, 0.61)) == ("98.20 %", "98.2 ± 0.6 %")
    assert (PERPLEXITY.show(12.406), PERPLEXITY.axis("test")) == ("12.41", "test perplexity (lower is better)")
    assert ACCURACY.gain_text("test") == "points of test accuracy"
    assert PERPLEXITY.gain_text("test") == "% lower test perplexity"
    assert [metric.heading("test") for metric in IMAGE_CLASSIFICATION.metrics] == [
        "test accuracy",
        "test NLL (nats)",
        "test calibration error",
    ]


def test_a_result_holds_its_task_and_one_without_is_image_classification():
    assert Description.of({"task": NEXT_SYMBOL.as_dict()}) == NEXT_SYMBOL
    assert Description.of({}) == IMAGE_CLASSIFICATION
    newer = {**NEXT_SYMBOL.as_dict(), "colour": "blue"}
    assert Description.of({"task": newer}) == NEXT_SYMBOL


def test_a_data_module_names_its_task_and_the_default_is_image_classification():
    assert isinstance(task_of(Sequences()), NextSymbol)
    assert isinstance(task_of(object()), ImageClassification)
    named = type("Named", (), {"task": "tests.tasks.tokens.NextSymbol"})
    assert isinstance(task_of(named()), NextSymbol)
    with pytest.raises(BadInput, match=r"data: Wrong\.task must be a kdlab\.tasks\.base\.Task, .* got 3\. For example"):
        task_of(type("Wrong", (), {"task": 3})())
