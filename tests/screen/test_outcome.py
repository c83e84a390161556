import pytest

from kdlab.runtime.export_summary import export_summary
from kdlab.screen.outcome import outcome
from tests.reporting.made_up_export import content

FLOAT = ("net.onnx", "onnxruntime")
RESULT = {"student": {"test/accuracy": 91.5}, "gain": 1.25}
MISSED = {"net.onnx in onnxruntime": ["0.8 ms against 0.5"]}


@pytest.mark.parametrize(
    ("export", "expected"),
    [
        (None, "91.50 %, gain +1.25"),
        (export_summary(content({FLOAT: 0.8}), None), "91.50 %, gain +1.25, net.onnx 0.80 ms"),
        (
            export_summary(content({FLOAT: 0.8}, budgets=MISSED), None),
            "91.50 %, gain +1.25, net.onnx 0.80 ms (over budget)",
        ),
        (
            export_summary(content({FLOAT: 0.8}, refused=["net.onnx"]), None),
            "91.50 %, gain +1.25, every artifact is refused",
        ),
        ({"error": "no operator", "complete": False}, "91.50 %, gain +1.25, not exported: no operator"),
    ],
)
def test_a_cell_with_an_export_says_what_can_be_shipped(export, expected):
    assert outcome({**RESULT, "export": export}) == expected
