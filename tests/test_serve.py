"""`python -m kdlab.serve`: what is refused before anything is loaded, and, as a process, how it starts and ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kdlab.benchmarking.load import run_load
from kdlab.config.folders import ROOT
from kdlab.serve import main
from tests.serving.tiny import picture, write_export

SOON = 30.0


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return write_export(tmp_path_factory.mktemp("serve") / "export-tiny", refused=["tiny-int8.onnx"])


def failing(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["serve", *map(str, arguments)])
    code = main()
    return code, capsys.readouterr().err


def test_a_refused_artifact_is_bad_input(export, monkeypatch, capsys):
    code, error = failing(monkeypatch, capsys, export, "serve.artifact=tiny-int8.onnx")
    assert code == 2
    assert "tiny-int8.onnx is refused by its export: it predicts" in error and "serve.artifact=tiny.onnx" in error


def test_a_port_in_use_is_an_error_before_anything_is_loaded(export, monkeypatch, capsys):
    monkeypatch.setattr("kdlab.serving.service.Model", None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = failing(monkeypatch, capsys, export, f"serve.port={port}")
    assert code == 2
    assert error.strip().splitlines()[0].startswith(f"error: serve.port={port} on 127.0.0.1 cannot be bound: ")


def test_a_missing_package_names_the_extra(export, monkeypatch, capsys):
    monkeypatch.setattr("kdlab.serve.find_spec", lambda name: None if name == "fastapi" else True)
    code, error = failing(monkeypatch, capsys, export)
    assert code == 2 and "kdlab.serve needs fastapi, not installed: pip install 'kdlab[serve]'" in error


@contextmanager
def started(export, *overrides, **environment):
    """A process that is ready, its address, and what it printed."""
    command = [sys.executable, "-u", "-m", "kdlab.serve", str(export), "serve.port=0", "serve.max_batch=2", *overrides]
    env = {**os.environ, **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT)
    lines = []
    try:
        while not lines or not lines[-1].startswith("try "):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        yield process, re.search(r"^ready +(\S+)$", "".join(lines), re.MULTILINE)[1], lines
    finally:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # where workers outlive it, and hold its output
            process.communicate(timeout=1)


def fetched(address):
    with urllib.request.urlopen(address, timeout=SOON) as answer:
        return answer.read().decode()


def predicted(address):
    return sum(
        float(count) for count in re.findall(r'requests_total{.*"predict".*} (.*)', fetched(f"{address}/metrics"))
    )


def children(process):
    """The processes that a process has started, by number."""
    return [int(one) for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_it_says_what_it_does_answers_and_drains(export):
    with started(export) as (process, address, lines):
        assert [line.split()[0] for line in lines] == ["artifact", "warm-up", "ready", "try"]
        assert json.loads(fetched(re.search(r"curl (\S+)$", lines[-1].strip())[1]))["name"] == "tiny"
        shown = process.stdout.readline().replace("@photo.jpg ", "")
        assert shown.split() == ["curl", "--data-binary", f"{address}/predict"]
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
        body = picture()
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=SOON) as slow:
            slow.sendall(
                f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:9]
            )
            fetched(f"{address}/metrics")  # by when the request has begun
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_refused(host, int(port)))
            slow.sendall(body[9:])
            assert slow.recv(100).startswith(b"HTTP/1.1 200 OK")
        _, errors = process.communicate(timeout=SOON)
        assert (process.returncode, errors) == (0, "")


def wait_until(holds):
    until = time.perf_counter() + SOON
    while not holds():
        assert time.perf_counter() < until
        time.sleep(0.01)


def is_refused(host, port):
    try:
        socket.create_connection((host, port), timeout=SOON).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_share_a_port_count_together_and_are_replaced(export):
    with started(export, "serve.workers=2", KDLAB_SERVE_TOKEN="") as (process, address, _):
        wait_until(lambda: fetched_ready(address) == 2)
        load = run_load(address, ("/predict", picture(), "image/png"), 4, 0.4)
        assert set(load.statuses) == {200}
        assert load.quantile(0.5) < 0.03  # without TCP_NODELAY it is 0.044
        assert predicted(address) == load.statuses[200]
        first, second = children(process)
        os.kill(first, signal.SIGKILL)
        for ready in (1, 2):  # the one that was killed does not count any more, and the one in its place does
            wait_until(lambda wanted=ready: fetched_ready(address) == wanted)
        assert second in (now := children(process)) and first not in now and len(now) == 2
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SOON)
        assert (process.returncode, errors) == (0, "")


def fetched_ready(address):
    return float(re.search(r"^kdlab_serve_ready (.*)$", fetched(f"{address}/metrics"), re.MULTILINE)[1])


def test_workers_end_with_a_parent_that_is_killed(export):
    with started(export, "serve.workers=2") as (process, address, _):
        host, port = address.removeprefix("http://").split(":")
        process.kill()
        wait_until(lambda: is_refused(host, int(port)))
