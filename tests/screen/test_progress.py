import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from kdlab.jobs.events import Progress, Started
from kdlab.screen.progress import Lines, has_bars
from kdlab.screen.run import Screen
from tests.screen.nap import NAP

EPOCHS, BATCHES = 12, 100


def lines(*events):
    """What is shown for events, each `(second, event)`."""
    clock = iter([second for second, event in events if event.total is not None])
    shown = Lines(lambda: next(clock))
    return [line for _, event in events if (line := shown.line(event))]


def epoch(number, seconds):
    row = {"samples": 6400 * number, "seconds": seconds}
    return seconds, Progress(NAP, BATCHES * number, BATCHES * EPOCHS, row, f"epoch {number}/{EPOCHS}  loss 0.500")


def step(done, seconds):
    return seconds, Progress(NAP, done, BATCHES * EPOCHS)


def test_epochs_are_shown_at_most_every_30_seconds_with_speed_and_time_left():
    shown = lines(step(0, 0), *(epoch(number, 8 * number) for number in range(1, EPOCHS + 1)))
    assert shown == [
        "  nap        epoch 4/12  loss 0.500  800 samples/s  64 s left",
        "  nap        epoch 8/12  loss 0.500  800 samples/s  32 s left",
        "  nap        epoch 12/12  loss 0.500  800 samples/s",
    ]


def test_within_a_long_epoch_the_step_is_shown_every_five_minutes():
    assert lines(step(0, 0), step(3, 100), step(6, 301), step(8, 400), step(12, 602)) == [
        "  nap        step 6 of 1,200  16.6 h left",
        "  nap        step 12 of 1,200  16.6 h left",
    ]


def test_a_resumed_job_estimates_from_its_own_speed_and_does_not_show_rows_again():
    earlier = Progress(NAP, 600, None, {"seconds": 9.0}, "epoch 6/12")
    shown = lines((0, earlier), step(600, 1000), (1060, epoch(7, 60)[1]))
    assert shown == ["  nap        epoch 7/12  loss 0.500  747 samples/s  5 min left"]


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_are_on_the_screen_where_there_is_no_bar_and_always_in_the_log(terminal, caplog, monkeypatch):
    monkeypatch.setattr("kdlab.screen.progress.SECONDS_BETWEEN_LINES", 0.0)
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    screen = Screen(console)
    with caplog.at_level(logging.INFO, logger="kdlab"):
        screen(Started(NAP, Path()))
        screen(epoch(12, 90.0)[1])
        screen(Progress(NAP, 1))
    assert caplog.messages == ["nap started", "nap epoch 12/12 loss 0.500 853 samples/s"]
    assert ("\n" in console.file.getvalue().rstrip("\n")) is False or terminal
    assert ("853 samples/s" in console.file.getvalue()) is not terminal


@pytest.mark.parametrize(("installed", "bars"), [(True, True), (False, False)])
def test_a_notebook_has_bars_with_ipywidgets(installed, bars, monkeypatch):
    monkeypatch.setattr("kdlab.screen.progress.find_spec", lambda name: (installed and name == "ipywidgets") or None)
    assert has_bars(Console(force_jupyter=True, force_terminal=False)) is bars
    assert not has_bars(Console(file=io.StringIO(), force_jupyter=False))
