import io

import pytest

from kdlab.benchmarking.case import VARIANTS, Case
from kdlab.benchmarking.findings import PairResult
from kdlab.benchmarking.measure import Timing
from kdlab.benchmarking.tables import COLUMNS, show_pair
from kdlab.reporting.render.console import Printer

CASE = Case("resnet32x4_resnet8x4", 32, samples=1, overrides=(), batch_size=64, threads=1)
TIMING = Timing((0.123, 0.234, 0.2), 340_000_000, 12.3)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_each_variant_is_one_whole_line_on_every_screen(width):
    console = Printer(file=io.StringIO(), width=width)
    show_pair(PairResult(CASE, dict.fromkeys(VARIANTS, TIMING)), console)
    lines = console.file.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for variant in VARIANTS:
        (line,) = [line for line in lines if line.startswith(f"{variant} ") and line.rstrip().endswith(" 12.3")]
        assert "320 " in line and " 200 [123, 234] " in line and " 340 " in line
    assert set(" ".join(COLUMNS).split()) <= set(console.file.getvalue().split())  # no heading is broken within a word
