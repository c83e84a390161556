"""A server on a real socket: what is sent at once, and clients that are slow, endless, or gone."""

import json
import socket
import sys
import threading
import time

import pytest

from kdlab import benchmark
from kdlab.benchmarking.load import run_load
from kdlab.errors import BadInput
from kdlab.serving.connection import listening_socket
from tests.serving.tiny import images, picture, running, service_of, tensor, write_export

SOON = 10.0


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = write_export(tmp_path_factory.mktemp("connection") / "export-tiny")
    service = service_of(folder, read_timeout_s=0.3, max_body_mb=1, timeout_s=10 * SOON)
    yield service
    service.close()


@pytest.fixture(scope="module")
def address(service):
    with running(service) as address:
        yield address


@pytest.fixture
def connected(address):
    with socket.create_connection(address, timeout=SOON) as connection:
        yield connection


def head(length=None, path="/predict", more=""):
    size = f"Content-Length: {length}\r\n" if length is not None else "Transfer-Encoding: chunked\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{size}{more}\r\n".encode()


def answer(connection):
    """Status and content of a response; None where the server closes without one."""
    with connection.makefile("rb") as file:
        try:
            first = file.readline()
            if not first:
                return None
            length = 0
            for line in iter(file.readline, b"\r\n"):
                name, _, value = line.lower().partition(b":")
                length = int(value) if name == b"content-length" else length
            content = file.read(length)
            return int(first.split()[1]), json.loads(content) if content.startswith(b"{") else content
        except ConnectionResetError:
            return None


def test_a_bound_socket_lets_asyncio_switch_off_the_delay_of_small_writes():
    """asyncio does so only where the socket says that it is TCP; its connections then have the option too."""
    with listening_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert listener.proto == accepted.proto == socket.IPPROTO_TCP
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_requests_of_a_connection_that_is_kept_alive_do_not_wait_for_acknowledgements(address):
    """It was 44 ms; now it is about 1 ms, and the bound leaves room for a busy machine."""
    load = run_load(f"http://{address[0]}:{address[1]}", ("/predict", picture(), "image/png"), 1, 0.3)
    assert set(load.statuses) == {200}
    assert load.quantile(0.5) < 0.03


@pytest.mark.parametrize(
    ("host", "message"), [("127.0.0.1", "cannot be bound"), ("no.such.host.invalid", "serve.host must be")]
)
def test_an_address_that_cannot_be_bound_is_one_line(host, message):
    with listening_socket("127.0.0.1", 0) as taken, pytest.raises(BadInput, match=message) as error:
        listening_socket(host, taken.getsockname()[1])
    assert "\n" not in str(error.value)


def test_a_client_that_sends_nothing_or_half_a_head_is_disconnected(connected, address):
    with socket.create_connection(address, timeout=SOON) as other:
        other.sendall(b"POST /predict HTTP/1.1\r\nHost:")
        assert answer(connected) is None and answer(other) is None


def test_so_is_one_that_has_had_an_answer(connected):
    connected.sendall(head(len(picture())) + picture())
    assert answer(connected)[0] == 200
    connected.sendall(b"POST /predict HTT")
    assert answer(connected) is None


def test_a_head_without_end_is_cut_off(connected):
    started = time.perf_counter()
    with pytest.raises(OSError):
        for _ in range(1000):
            connected.sendall(
                b"POST /predict HTTP/1.1\r\n" if not _ else b"x: " + bytes(4096).replace(b"\0", b"y") + b"\r\n"
            )
            if time.perf_counter() > started + SOON:
                break
    assert time.perf_counter() < started + 0.3 * 10


def test_a_body_that_does_not_come_ends_in_408_and_holds_nobody(connected, address):
    connected.sendall(head(1000) + b"abc")
    with socket.create_connection(address, timeout=SOON) as other:
        other.sendall(head(len(picture())) + picture())
        assert answer(other)[0] == 200
    assert answer(connected) == (408, {"error": "the body did not come within 0.3 s"})


def test_a_body_that_says_that_it_is_too_large_is_not_read(connected):
    connected.sendall(head(10**9))
    assert answer(connected) == (413, {"error": "a body may have 1 MB; serve.max_body_mb sets that"})


def test_a_body_in_chunks_is_cut_off_where_it_is_too_large(connected, service):
    connected.sendall(head())
    chunk = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    sent = 0
    try:
        for _ in range(16_000):  # a gigabyte
            connected.sendall(chunk)
            sent += len(chunk)
    except OSError:
        pass
    assert sent < 50e6  # what the system buffers
    assert service.bodies._pending == 0


def test_a_length_that_lies_is_no_way_around(connected):
    connected.sendall(head(4) + picture())
    status, _ = answer(connected)
    assert status == 400


def test_a_client_that_goes_takes_its_request_out_of_the_queue(address, service, monkeypatch):
    student, calls, gate, begun = service.predictor.student, [], threading.Event(), threading.Event()
    run = student._run

    def waiting(rows):
        calls.append(len(rows))
        begun.set()
        gate.wait(SOON)
        return run(rows)

    monkeypatch.setattr(student, "_run", waiting)
    body = json.dumps(tensor(images(1))).encode()
    request = head(len(body), "/v2/models/tiny/infer") + body
    with socket.create_connection(address, timeout=SOON) as first:
        first.sendall(request)
        assert begun.wait(SOON)
        with socket.create_connection(address, timeout=SOON) as second:
            second.sendall(request)
            wait_until(lambda: student.waiting == 1)
        wait_until(lambda: student.waiting == 0)
        gate.set()
        assert answer(first)[0] == 200
    assert calls == [1]


def wait_until(holds):
    until = time.perf_counter() + SOON
    while not holds():
        assert time.perf_counter() < until
        time.sleep(0.002)


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET / HTTP/9\r\n\r\n", b"\r\n\r\n\0\0", b"GET  \r\n"]
)
def test_what_is_no_http_does_no_harm(raw, connected, address):
    connected.sendall(raw)
    connected.shutdown(socket.SHUT_WR)
    with socket.create_connection(address, timeout=SOON) as other:
        other.sendall(head(len(picture())) + picture())
        assert answer(other)[0] == 200


def test_a_load_is_a_table_of_more_and_more_clients(address, monkeypatch, capsys):
    monkeypatch.setattr("kdlab.benchmarking.load.SECONDS", 0.05)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--serve", f"http://{address[0]}:{address[1]}"])
    assert benchmark.main() == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["connections", "requests/s", "p50", "ms", "p99", "ms", "statuses"]
    assert [row.split()[0] for row in rows] == ["1", "4", "16"]
    assert all(float(row.split()[1]) > 0 and "   200: " in row for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ftp://x"], "--serve must be an address such as http://127.0.0.1:8000, got ftp://x"),
        (["http://127.0.0.1:9"], "--serve http://127.0.0.1:9: no request got status 200, but no connection"),
        (["http://x", "--steps", "3"], "--steps: --serve measures a server as it runs, and takes nothing else"),
        (["http://x", "loss=dkd"], "loss=dkd: --serve measures a server as it runs"),
    ],
)
def test_a_load_on_nothing_is_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("kdlab.benchmarking.load.SECONDS", 0.05)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--serve", *arguments])
    assert benchmark.main() == 2
    assert capsys.readouterr().err.strip().startswith(f"error: {message}")
