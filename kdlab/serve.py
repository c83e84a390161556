"""`python -m kdlab.serve RUN [serve.…=…]`: answers requests with the artifact that an export recommends."""

import os
import sys
from argparse import Namespace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kdlab.config.command_line import CommandLine
from kdlab.errors import BadInput, KdlabError
from kdlab.jobs.training.process import run_and_leave
from kdlab.serving.artifact import Artifact, find_artifact
from kdlab.serving.settings import TOKEN, ServeSettings, serve_settings
from kdlab.sweeps.attempt import print_error
from kdlab.sweeps.cli import run_command

if TYPE_CHECKING:
    import socket

EXAMPLES = """\
  python -m kdlab.serve outputs/response-1a2b3c4d
  python -m kdlab.serve outputs/response-1a2b3c4d serve.artifact=resnet20.onnx
  python -m kdlab.serve runs/a serve.shadow=.01 serve.teacher=runs/a/teacher"""
MORE = """\
It listens on this machine alone unless KDLAB_SERVE_TOKEN is set. SIGTERM and
Ctrl-C answer the requests that have begun, and end it with exit code 0.
Keys of serve, the protocol, metrics, autoscaling: docs/serve.md."""
PACKAGES = ("fastapi", "uvicorn", "httptools", "onnxruntime", "multipart", "prometheus_client")
WIDTH = 10  # of the names of phases


def main() -> int:
    """The command; returns its exit code."""
    return run_command(lambda: _served(_command_line().parse_intermixed_args()))


def _served(args: Namespace) -> int:
    settings = serve_settings(args.overrides)
    _check_installed()
    artifact = find_artifact(args.run, settings.artifact, settings.engine, "serve.artifact")
    teacher = find_artifact(settings.teacher, None, None, "serve.teacher") if settings.teacher else None
    from kdlab.serving.connection import listening_socket

    listener = listening_socket(settings.host, settings.port)
    _announce("artifact", _described(artifact))
    threshold = _threshold(artifact, teacher, settings)
    if settings.workers == 1:
        _serve(settings, artifact, teacher, threshold, listener, shows=True)
        return 0
    from kdlab.serving.metrics import shared_between_processes
    from kdlab.serving.server import supervise

    def work(number: int) -> int:
        try:
            _serve(settings, artifact, teacher, threshold, listener, shows=number == 0)
        except KdlabError as error:
            return print_error(error)
        return 0

    with shared_between_processes() as ended:
        return supervise(settings.workers, work, ended)


def _serve(
    settings: ServeSettings,
    artifact: Artifact,
    teacher: Artifact | None,
    threshold: float | None,
    listener: "socket.socket",
    *,
    shows: bool,
) -> None:
    from kdlab.serving.server import serve
    from kdlab.serving.service import Service

    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    service = Service(settings, artifact, teacher, threshold)

    def when_ready() -> None:
        _announce("ready", address)
        header = f' -H "Authorization: Bearer ${TOKEN}"' if settings.token else ""
        _announce("try", f"curl{header} {address}/v2/models/{artifact.network}")
        if service.images:
            _announce("", f"curl{header} --data-binary @photo.jpg {address}/predict")

    supervisor = os.getppid() if settings.workers > 1 else None
    if shows:
        serve(service, listener, _announce, when_ready, supervisor)
    else:
        serve(service, listener, lambda phase, text: None, lambda: None, supervisor)


def _threshold(artifact: Artifact, teacher: Artifact | None, settings: ServeSettings) -> float | None:
    """Of the cascade: as given, or learned; None for no cascade."""
    deferral = settings.deferral
    if teacher is None or deferral.target is None:
        return deferral.threshold
    from kdlab.serving.learning import learned_elsewhere

    learned = learned_elsewhere(artifact, teacher, deferral.target)
    point = learned.point
    _announce(
        "cascade",
        f"threshold {point.threshold:.4f}, learned on validation: defers {100 * point.deferred:.1f} %, predicts as the "
        f"teacher on {100 * point.agreement:.2f} %",
    )
    if doubt := learned.doubt(artifact):
        _announce("WARNING", doubt)
    return point.threshold


def _described(artifact: Artifact) -> str:
    accuracy = artifact.proof.get("test/accuracy")
    shown = "" if accuracy is None else f", {accuracy:.2f} % test accuracy"
    return f"{artifact.name} in {artifact.engine}{shown}, SHA-256 {artifact.version}…"


def _announce(phase: str, text: str) -> None:
    print(f"{phase:<{WIDTH}}{text}")
    sys.stdout.flush()


def _check_installed() -> None:
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        raise BadInput(f"kdlab.serve needs {', '.join(absent)}, not installed: pip install 'kdlab[serve]'")


def _command_line() -> CommandLine:
    line = CommandLine(
        "serve",
        "Answers requests over HTTP with the artifact that the export of a finished run\n"
        "recommends: the Open Inference Protocol (v2), image files, metrics.",
        EXAMPLES,
        MORE,
    )
    run = "a run directory that was exported, one of its stages, or the folder of an export"
    line.add_argument("run", metavar="RUN", help=run)
    keys = "serve.… (default: conf/serve.yaml, on port 8000 of this machine alone)"
    line.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=keys)
    return line


if __name__ == "__main__":
    run_and_leave(main)
