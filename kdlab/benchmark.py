"""`python -m kdlab.benchmark`: what a step costs, beside a plain loop, in ratios of one run."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from kdlab.errors import BadInput
from kdlab.store.atomic import check_writable
from kdlab.sweeps.cli import explained

if TYPE_CHECKING:  # with torch, which a wrong option need not wait for
    from kdlab.benchmarking.case import Case
    from kdlab.benchmarking.findings import Found
    from kdlab.benchmarking.growth import Growth

PAIRS = {"resnet32x4_resnet8x4": 32, "resnet56_resnet20": 32, "resnet50_mbv3": 64}
"""The pairs that are measured unless others are named, with the side of their images in pixels."""
SIDE = 32
CPU_STEPS, GPU_STEPS = 8, 50
GROWTH_REPEATS = 3  # at most: dozens of processes start
LEAST_SAMPLES = 4096
PICTURES = (".png", ".svg", ".pdf")
OWN = ("data", "model=", "paths.", "epochs", "plan", "hardware.threads")
"""How overrides begin that would make ways of one row train other things."""
LEAST = {"repeats": 1, "steps": 1, "batch_size": 2, "threads": 1}
EXAMPLES = """
python -m kdlab.benchmark                                            three pairs, seven ways to train each
python -m kdlab.benchmark --pair resnet56_resnet20 --repeats 7 --json speed.json
python -m kdlab.benchmark --growth                                   and how costs grow
python -m kdlab.benchmark --pair vgg13_vgg8 loss=dkd cache.dtype=float16

A repeat is a turn of each way: one step that is not timed, then --steps that are. Ratios are taken within a repeat;
what is shown is their median and [range]."""


def main() -> int:
    """The command; returns its exit code."""
    asked = _parser().parse_args()
    return explained(lambda: _benchmarked(asked))


def _benchmarked(asked: Namespace) -> int:
    _check(asked)
    from kdlab.benchmarking.findings import write_json
    from kdlab.benchmarking.machine import machine
    from kdlab.benchmarking.pictures import write_picture
    from kdlab.benchmarking.run import FOLDER
    from kdlab.benchmarking.tables import show_machine
    from kdlab.config.compose import compose_config
    from kdlab.runtime.logs import quiet_screen

    quiet_screen()
    cases, console = _cases(asked), Console(highlight=False, soft_wrap=True)
    config, *_ = [compose_config(case.lines(Path(), ""), FOLDER) for case in cases]  # all, before any is measured
    facts = machine(config.hardware)
    show_machine(facts, console)
    with TemporaryDirectory(prefix="kdlab-benchmark-") as folder:
        found = [_found(asked, case, Path(folder), console) for case in cases]
        grown = _grown(asked, cases[-1], Path(folder), console) if asked.growth else []
    if asked.json:
        write_json(asked.json, facts, {"repeats": asked.repeats, "steps": asked.steps}, found, grown)
    if picture := asked.plot or (asked.json and asked.json.with_suffix(".png")):
        write_picture(picture, found, grown)
        console.print(f"[dim]{picture}[/]")
    return 0


def _cases(asked: Namespace) -> "list[Case]":
    """What is to be measured, with what was not said filled in."""
    import torch

    from kdlab.benchmarking.case import Case
    from kdlab.benchmarking.measure import total_steps

    asked.steps = asked.steps or (GPU_STEPS if torch.cuda.is_available() else CPU_STEPS)
    sizes = {"batch_size": asked.batch_size, "threads": asked.threads or torch.get_num_threads()}
    samples = max(LEAST_SAMPLES, asked.batch_size * total_steps(asked.repeats, asked.steps))
    overrides = tuple(asked.overrides)
    pairs = asked.pair or list(PAIRS)
    cases = [Case(pair, PAIRS.get(pair, SIDE), samples=samples, overrides=overrides, **sizes) for pair in pairs]
    return cases


def _found(asked: Namespace, case: "Case", folder: Path, console: Console) -> "Found":
    from kdlab.benchmarking.findings import Found
    from kdlab.benchmarking.measure import measure
    from kdlab.benchmarking.tables import show_pair

    with console.status(f"{case.pair}: {asked.repeats} turns of each way"):
        found = Found(case, measure(case, folder / case.pair, asked.repeats, asked.steps))
    show_pair(found, console)
    return found


def _grown(asked: Namespace, case: "Case", folder: Path, console: Console) -> "list[Growth]":
    from kdlab.benchmarking.growth import growth
    from kdlab.benchmarking.tables import show_growth

    with console.status("how costs grow") as status:
        turns = min(asked.repeats, GROWTH_REPEATS), max(asked.steps // 2, 1)
        grown = growth(case, folder / "growth", *turns, status.update)
    for one in grown:
        show_growth(one, console)
    return grown


def _check(asked: Namespace) -> None:
    for name, least in LEAST.items():
        value = getattr(asked, name)
        if value is not None and value < least:
            flag = f"--{name.replace('_', '-')}"
            raise BadInput(f"{flag} must be a whole number, {least} or more; got {value}. For example: {flag} {least}")
    for line in asked.overrides:
        if line.lstrip("+~").startswith(OWN):
            raise BadInput(f"{line}: pair, data and paths are the benchmark's own. Use --pair and --batch-size.")
    for flag in ("json", "plot"):
        if path := getattr(asked, flag):
            check_writable(path.parent, f"--{flag}")
    if asked.plot and asked.plot.suffix not in PICTURES:
        raise BadInput(f"--plot must end in {' or '.join(PICTURES)}, got {asked.plot}. For example: --plot speed.png")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m kdlab.benchmark",
        description="Times a step of distillation: a plain loop, and kdlab without a teacher, with one, with a cache.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    known = ", ".join(PAIRS)
    parser.add_argument("--pair", action="append", metavar="NAME", help=f"an option of model= (default: {known})")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each way (default: 5)")
    parser.add_argument("--steps", type=int, help=f"of a turn (default: {CPU_STEPS}; {GPU_STEPS} with a GPU)")
    parser.add_argument("--batch-size", type=int, default=64, help="of a step (default: 64)")
    parser.add_argument("--threads", type=int, help="of the CPU (default: as many as torch chooses)")
    parser.add_argument(
        "--growth",
        action="store_true",
        help="also with other sizes of batch, classes, data and sweep (ten minutes more)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything that was measured")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture (default: beside the JSON)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the runs of kdlab, as for kdlab.train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
