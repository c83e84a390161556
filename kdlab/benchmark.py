"""`python -m kdlab.benchmark`: what a step costs; with `--inference`, what artifacts cost; with `--serve`, a server."""

import os
from argparse import SUPPRESS, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from kdlab.config.command_line import CommandLine, whole_number
from kdlab.errors import BadInput
from kdlab.export import export_settings
from kdlab.jobs.training.process import load_libraries, run_and_leave
from kdlab.models.stage_folder import stage_folder
from kdlab.reporting.render.console import Printer
from kdlab.store.atomic import check_writable
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:  # with torch, which a wrong option need not wait for
    from kdlab.benchmarking.case import Case
    from kdlab.benchmarking.findings import PairResult
    from kdlab.benchmarking.scaling import Scaling
    from kdlab.jobs.export.settings import ExportSettings

PAIRS = {"resnet32x4_resnet8x4": 32, "resnet56_resnet20": 32, "resnet50_mbv3": 64}
"""The pairs that are measured unless others are named, with the side of their images in pixels."""
SIDE, BATCH_SIZE, REPEATS = 32, 64, 5
CPU_STEPS, GPU_STEPS = 8, 50
SCALING_REPEATS = 3  # at most: dozens of processes start
MIN_SAMPLES = 4096
PICTURES = (".png", ".svg", ".pdf")
FIXED = ("data", "model=", "paths.", "epochs", "plan", "hardware.threads")
"""Prefixes of overrides that are refused: with them the variants of a pair would train different things."""
MINIMUM = {"repeats": 1, "steps": 1, "batch_size": 2, "threads": 1}
OF_TRAINING = {
    "pair": "Leave it out: the run says what is measured",
    "steps": "Leave it out: calls are counted by batch size",
    "batch_size": "Batch sizes are those of export.measure.batches=[1,32]",
    "threads": "Threads are those of export.measure.threads=[1,all]",
    "scaling": "Leave it out, and choose export.measure.batches=[1,8,32,128]",
    "plot": "Leave it out: --json FILE has all figures",
}
"""Options that `--inference` does not take, and what to do."""
OF_INFERENCE = ("bundle", "read", "name", "config_dir")
MEASURE = ("export.measure.batches=[1,8,32,128]", "export.measure.threads=[1,all]")
EXAMPLES = """\
  python -m kdlab.benchmark                    three pairs, seven variants each
  python -m kdlab.benchmark --pair resnet56_resnet20 --json speed.json
  python -m kdlab.benchmark --scaling          and how costs scale
  python -m kdlab.benchmark --pair vgg13_vgg8 loss=dkd cache.dtype=float16
  python -m kdlab.benchmark --inference outputs/response-1a2b3c4d
  python -m kdlab.benchmark --inference outputs/mine --bundle board.zip
  python -m kdlab.benchmark --inference outputs/mine --read results.json
  python -m kdlab.benchmark --serve http://127.0.0.1:8000"""
MORE = """\
A repeat is a round of each variant: one step that is not timed, then --steps
that are. Ratios are taken within a repeat; the tables show their median and
[range]. With --inference a repeat is a process of each artifact, engine,
batch size and number of threads; overrides are those of kdlab.export.
What was measured: docs/benchmark.md. Artifacts and devices: docs/deploy.md."""


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _run(_command_line().parse_intermixed_args()))


def _run(args: Namespace) -> int:
    _check(args)
    if args.serve:
        return _run_load(args)
    if args.inference:
        return _run_inference(args)
    from kdlab.benchmarking.findings import write_json
    from kdlab.benchmarking.machine import machine
    from kdlab.benchmarking.pictures import write_picture
    from kdlab.benchmarking.run import FOLDER
    from kdlab.benchmarking.tables import show_machine
    from kdlab.config.compose import compose_config
    from kdlab.runtime.logs import quiet_screen

    quiet_screen()
    cases, console = _cases(args), Printer()
    # Every case is composed before the first is measured.
    config, *_ = [compose_config(case.run_overrides(Path(), ""), FOLDER) for case in cases]
    properties = machine(config.hardware)
    show_machine(properties, console)
    with TemporaryDirectory(prefix="kdlab-benchmark-") as folder:
        pairs = [_measure_pair(args, case, Path(folder), console) for case in cases]
        scalings = _measure_scaling(args, cases[-1], Path(folder), console) if args.scaling else []
    if args.json:
        write_json(args.json, properties, {"repeats": args.repeats, "steps": args.steps}, pairs, scalings)
    if picture := args.plot or (args.json and args.json.with_suffix(".png")):
        write_picture(picture, pairs, scalings)
        console.print(f"[dim]{picture}[/]")
    return 0


def _run_inference(args: Namespace) -> int:
    console = Printer()
    if args.read:
        from kdlab.benchmarking.devices import read_back

        read_back(args.read, args.name, args.inference, console)
        return 0
    named = args.inference if args.inference.name.startswith("export-") else None
    run = named.parent if named else args.inference
    stage_folder(run)  # a wrong path is an error at once
    settings, own = _settings(args)
    load_libraries()
    from kdlab.benchmarking.bundle import write_bundle
    from kdlab.benchmarking.inference import Subject, show, write_figures
    from kdlab.runtime.logs import quiet_screen

    quiet_screen()
    subject = Subject.exported(run, own, settings, console)
    if named:
        subject.check_folder(named)
    if args.bundle:
        write_bundle(args.bundle, subject, console)
    else:
        write_figures(subject, args.json)
        show(subject, console)
    return 0


def _run_load(args: Namespace) -> int:
    from kdlab.benchmarking.load import load_table
    from kdlab.serving.settings import TOKEN

    for line in load_table(args.serve, os.environ.get(TOKEN, "")):
        print(line, flush=True)
    return 0


def _settings(args: Namespace) -> "tuple[ExportSettings, ExportSettings]":
    """Those of an export that measures as this command does, and those of the export itself."""
    measured = [*MEASURE, f"export.measure.rounds={args.repeats}", *args.overrides]
    settings = export_settings(measured, args.config_dir)
    if not args.bundle:
        return settings, settings
    given = [line for line in args.overrides if not line.startswith("export.measure")]
    return settings, export_settings(given, args.config_dir)


def _cases(args: Namespace) -> "list[Case]":
    """What is to be measured, with defaults filled in."""
    import torch

    from kdlab.benchmarking.case import Case
    from kdlab.benchmarking.measure import total_steps

    args.steps = args.steps or (GPU_STEPS if torch.cuda.is_available() else CPU_STEPS)
    args.batch_size = args.batch_size or BATCH_SIZE
    sizes = {"batch_size": args.batch_size, "threads": args.threads or torch.get_num_threads()}
    samples = max(MIN_SAMPLES, args.batch_size * total_steps(args.repeats, args.steps))
    overrides = tuple(args.overrides)
    pairs = args.pair or list(PAIRS)
    cases = [Case(pair, PAIRS.get(pair, SIDE), samples=samples, overrides=overrides, **sizes) for pair in pairs]
    return cases


def _measure_pair(args: Namespace, case: "Case", folder: Path, console: Console) -> "PairResult":
    from kdlab.benchmarking.findings import PairResult
    from kdlab.benchmarking.measure import measure
    from kdlab.benchmarking.tables import show_pair

    with console.status(f"{case.pair}: {args.repeats} rounds of each variant"):
        result = PairResult(case, measure(case, folder / case.pair, args.repeats, args.steps))
    show_pair(result, console)
    return result


def _measure_scaling(args: Namespace, case: "Case", folder: Path, console: Console) -> "list[Scaling]":
    from kdlab.benchmarking.scaling import scaling
    from kdlab.benchmarking.tables import show_scaling

    with console.status("how costs scale") as status:
        rounds = min(args.repeats, SCALING_REPEATS), max(args.steps // 2, 1)
        scalings = scaling(case, folder / "scaling", *rounds, status.update)
    for one in scalings:
        show_scaling(one, console)
    return scalings


def _check(args: Namespace) -> None:
    for name, minimum in MINIMUM.items():
        value = getattr(args, name)
        if value is not None and value < minimum:
            rule = f"{_flag(name)} must be a whole number, {minimum} or more"
            raise BadInput(f"{rule}; got {value}. For example: {_flag(name)} {minimum}")
    if args.serve:
        return _check_alone(args)
    (_check_inference if args.inference else _check_training)(args)
    for flag in ("json", "plot", "bundle"):
        if path := getattr(args, flag):
            check_writable(path.parent, f"--{flag}")


def _check_alone(args: Namespace) -> None:
    others = [*OF_TRAINING, *OF_INFERENCE, "inference", "json"]
    given = [_flag(name) for name in others if getattr(args, name)] + args.overrides
    if given:
        raise BadInput(f"{given[0]}: --serve measures a server as it runs, and takes nothing else. Leave it out.")


def _check_training(args: Namespace) -> None:
    if wrong := [name for name in OF_INFERENCE if getattr(args, name)]:
        raise BadInput(f"{_flag(wrong[0])} goes with --inference RUN, which is missing. Add it, or leave it out.")
    for line in args.overrides:
        if line.lstrip("+~").startswith(FIXED):
            raise BadInput(f"{line}: pair, data and paths are set by the benchmark. Use --pair and --batch-size.")
    if args.plot and args.plot.suffix not in PICTURES:
        raise BadInput(f"--plot must end in {' or '.join(PICTURES)}, got {args.plot}. For example: --plot speed.png")


def _check_inference(args: Namespace) -> None:
    for name, fix in OF_TRAINING.items():
        if getattr(args, name):
            raise BadInput(
                f"{_flag(name)} goes with a benchmark of training, and --inference RUN measures a finished run. {fix}."
            )
    chosen = [_flag(name) for name in ("bundle", "read", "json") if getattr(args, name)]
    if len(chosen) > 1:
        raise BadInput(f"{' and '.join(chosen)} do not go together: each is a command of its own. Leave one out.")
    if args.name and not args.read:
        raise BadInput(f"--name names the device of --read FILE, which is missing; got --name {args.name}. Add it.")
    if args.read and args.overrides:
        raise BadInput(f"{args.overrides[0]}: --read finds the export by its artifacts and sets nothing. Leave it out.")
    if args.bundle and args.bundle.suffix != ".zip":
        raise BadInput(f"--bundle must end in .zip, got {args.bundle}. For example: --bundle board.zip")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _command_line() -> CommandLine:
    purpose = (
        "Times a training step of a plain loop, and of kdlab with and without a cache.\n"
        "With --inference, times what the export of a finished run accepts."
    )
    line = CommandLine("benchmark", purpose, EXAMPLES, MORE)
    known = ", ".join(PAIRS)
    pairs = f"a pair, an option of model=; may be given again (default: {known})"
    line.add_argument("--pair", action="append", metavar="NAME", help=pairs)
    line.add_argument(
        "--repeats", type=whole_number, default=REPEATS, metavar="N", help="rounds of each variant (default: 5)"
    )
    timed = f"steps that are timed in a round (default: {CPU_STEPS}; {GPU_STEPS} with a GPU)"
    line.add_argument("--steps", type=whole_number, metavar="N", help=timed)
    line.add_argument("--batch-size", type=whole_number, metavar="N", help="images in a step (default: 64)")
    line.add_argument(
        "--threads", type=whole_number, metavar="N", help="CPU threads (default: as many as torch chooses)"
    )
    more = "also other sizes of batch, classes, data and sweep (ten minutes more)"
    line.add_argument("--scaling", action="store_true", help=more)
    line.add_argument("--growth", dest="scaling", action="store_true", help=SUPPRESS)  # the former name
    line.add_argument("--json", type=Path, metavar="FILE", help="write all results here (default: nowhere)")
    line.add_argument("--plot", type=Path, metavar="FILE", help="write a picture here (default: beside the JSON)")
    run = "measure the artifacts of a run directory, or of an export-… in it"
    line.add_argument("--inference", type=Path, metavar="RUN", help=run)
    bundle = "with --inference: pack them for another machine, which measures them"
    line.add_argument("--bundle", type=Path, metavar="FILE.zip", help=bundle)
    read = "with --inference: keep and show what another machine measured"
    line.add_argument("--read", type=Path, metavar="FILE", help=read)
    line.add_argument("--name", metavar="NAME", help="with --read: of that machine (default: its processor)")
    served = "requests a second and latency of a kdlab.serve that runs there"
    line.add_argument("--serve", metavar="ADDRESS", help=served)
    line.add_argument("--config-dir", metavar="FOLDER", help="with --inference: further options of your own")
    overrides = "overrides as for kdlab.train; with --inference, export=… and export.…"
    line.add_argument("overrides", nargs="*", metavar="key=value", help=overrides)
    return line


if __name__ == "__main__":
    run_and_leave(main)
