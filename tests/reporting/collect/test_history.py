import numpy as np

from kdlab.reporting.collect.history import history


def test_columns_are_read_by_name_and_gaps_are_nan(tmp_path):
    (tmp_path / "metrics.csv").write_text("val/accuracy,epoch,train/loss\n10.5,1,\n,2,0.25\n")
    found = history(tmp_path)
    np.testing.assert_array_equal(found["val/accuracy"], [10.5, np.nan])
    np.testing.assert_array_equal(found["train/loss"], [np.nan, 0.25])
    np.testing.assert_array_equal(found["epoch"], [1, 2])


def test_an_absent_empty_or_damaged_table_gives_no_columns(tmp_path):
    assert history(tmp_path) == {}
    for text in ("", "epoch,lr\n", "epoch,lr\n1,0.1\n2", "epoch\nyes\n", "epoch,lr\n1\n2\n"):
        (tmp_path / "metrics.csv").write_text(text)
        assert history(tmp_path) == {}
