"""Summaries and ratios against numpy."""

import numpy as np
import pytest

from kdlab.inference.summary import speedup, speedups, summaries

NOTHING = {"p95": 0.3, "p99": 0.4, "cold_start": 1.0, "memory_bytes": None, "joules": None, "bare_p50": 0.1}


def rows_of(name, seconds, batch=1):
    about = {"name": name, "engine": "e", "batch": batch, "threads": 1, "calls": 300}
    return [{"round": number, **about, **NOTHING, "p50": one} for number, one in enumerate(seconds)]


FAST, SLOW = [0.1, 0.4, 0.2], [0.3, 0.5, 0.8]
ROWS = [*rows_of("slow", SLOW), *rows_of("fast", FAST), *rows_of("fast", [9.0], batch=8)]


def test_a_summary_has_the_median_and_the_range_over_processes():
    one = next(one for one in summaries(ROWS) if (one["name"], one["batch"]) == ("fast", 1))
    assert (one["p50"], one["p50_least"], one["p50_most"]) == (np.median(FAST), min(FAST), max(FAST))
    assert one["noise"] == pytest.approx(np.ptp(FAST) / np.median(FAST))
    assert (one["processes"], one["calls"], one["memory_bytes"]) == (3, 300, None)


def test_a_variant_of_which_a_process_failed_has_no_figures():
    failed = {"round": 3, "name": "fast", "engine": "e", "batch": 1, "threads": 1, "error": "out of memory"}
    one = next(one for one in summaries([*ROWS, failed]) if (one["name"], one["batch"]) == ("fast", 1))
    assert one["error"] == "out of memory" and "p50" not in one


def test_a_speedup_is_taken_round_by_round_and_not_of_medians():
    ratios = np.array(SLOW) / np.array(FAST)
    found = speedup(ROWS, ("fast", "e", 1, 1), ("slow", "e", 1, 1))
    assert found == pytest.approx((np.median(ratios), ratios.min(), ratios.max()))
    assert found.median != pytest.approx(np.median(SLOW) / np.median(FAST))


def test_a_round_that_only_one_of_them_finished_has_no_ratio():
    found = speedup(ROWS[1:], ("fast", "e", 1, 1), ("slow", "e", 1, 1))
    assert found == pytest.approx((np.median([1.25, 4]), 1.25, 4))
    assert speedup(ROWS, ("fast", "e", 8, 1), ("slow", "e", 8, 1)) is None


def test_speedups_compare_at_the_same_batch_and_threads():
    assert [(one["of"], one["over"], one["batch"]) for one in speedups(ROWS)] == [
        (["fast", "e"], ["slow", "e"], 1),
        (["slow", "e"], ["fast", "e"], 1),
    ]
