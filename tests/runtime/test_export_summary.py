from kdlab.runtime.export_summary import export_summary, shipped
from tests.reporting.made_up_export import content

FLOAT, INT8, OTHER = ("net.onnx", "onnxruntime"), ("net-int8.onnx", "onnxruntime"), ("net-int8.onnx", "openvino")
MILLISECONDS = {FLOAT: 0.8, INT8: 0.4, OTHER: 0.3}


def test_has_the_recommended_artifact_as_it_was_measured_where_it_was_decided():
    exported = content(MILLISECONDS, batch=32)
    assert export_summary(exported, "export-1a2b3c4d") == {
        "recommended": {
            "artifact": "net-int8.onnx",
            "engine": "openvino",
            "precision": "int8",
            "size_bytes": 200_000,
            "p50": 0.003,
            "batch": 32,
            "threads": 1,
            "test/accuracy": 89.5,
            "drop": 0.5,
            "agreement": 99.2,
        },
        "fastest": export_summary(exported, None)["recommended"],
        "refused": {},
        "over_budget": {},
        "within_budget": None,
        "complete": True,
        "cpu": "Chip",
        "folder": "export-1a2b3c4d",
    }


def test_a_refused_artifact_is_not_the_fastest():
    summary = export_summary(content(MILLISECONDS, refused=["net-int8.onnx"]), None)
    assert summary["recommended"]["artifact"] == summary["fastest"]["artifact"] == "net.onnx"
    assert summary["refused"] == {"net-int8.onnx": ["it loses 3.00 points"]}
    assert (summary["within_budget"], summary["complete"]) == (None, False)


def test_where_none_meets_the_budgets_the_fastest_is_shown():
    missed = {" in ".join(key): ["1 ms against 0.1"] for key in MILLISECONDS}
    summary = export_summary(content(MILLISECONDS, budgets=missed), None)
    assert (summary["recommended"], summary["within_budget"], summary["complete"]) == (None, False, False)
    assert summary["over_budget"] == missed
    assert (shipped(summary)["engine"], shipped(summary)["p50"]) == ("openvino", 0.0003)


def test_one_within_the_budgets_is_enough():
    missed = {" in ".join(FLOAT): ["0.8 ms against 0.5"], " in ".join(INT8): [], " in ".join(OTHER): []}
    summary = export_summary(content(MILLISECONDS, budgets=missed), None)
    assert (summary["within_budget"], summary["complete"]) == (True, True)
    assert list(summary["over_budget"]) == ["net.onnx in onnxruntime"]


def test_nothing_can_be_shipped_where_all_is_refused():
    summary = export_summary(content({FLOAT: 0.8}, refused=["net.onnx"], budgets={}), None)
    assert (summary["within_budget"], summary["complete"], shipped(summary)) == (False, False, None)
