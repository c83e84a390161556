from kdlab.jobs.training.history import History, read_history, write_history


def test_rows_survive_writing_and_reading_also_with_gaps(tmp_path):
    rows = [{"epoch": 1.0, "val/accuracy": 12.5}, {"epoch": 2.0, "lr": 1e-17}]
    write_history(tmp_path / "metrics.csv", rows)
    assert read_history(tmp_path / "metrics.csv") == rows
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == "epoch,val/accuracy,lr"


def test_what_callbacks_log_joins_the_row_of_its_epoch_and_no_later_one():
    history = History()
    history.log_metrics({"lr-SGD": 0.1}, step=3)
    added = [history.add({"epoch": 1.0}), history.add({"epoch": 2.0})]
    assert added == history.rows == [{"lr-SGD": 0.1, "epoch": 1.0}, {"epoch": 2.0}]
