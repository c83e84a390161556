import subprocess
import sys

import pytest

LEAVING = """
import atexit, sys, threading
from kdlab.jobs.training.process import leave
atexit.register(print, "handled")
class Slow:
    def __del__(self): print("freed")
kept = Slow()
"""


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        ("", ["handled"]),
        ("import cProfile; cProfile.Profile().enable()", ["handled", "freed"]),
        ("threading.Thread(target=lambda: threading.Event().wait(0.5)).start()", ["handled", "freed"]),
    ],
)
def test_a_process_ends_with_its_code_and_its_exit_handlers_and_frees_nothing_unless_something_waits(before, lines):
    done = subprocess.run(
        [sys.executable, "-c", f"{LEAVING}{before}\nleave(3)"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (3, lines)


def test_a_command_whose_reader_has_gone_ends_quietly():
    code = "from kdlab.jobs.training.process import run_and_leave\nrun_and_leave(lambda: print('much ' * 100_000))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
