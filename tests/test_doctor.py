"""`python -m kdlab.doctor`, in this process."""

import json
import socket
import sys

import pytest

from kdlab.diagnosis import packages
from kdlab.doctor import doctor, main
from kdlab.settings.version import VERSION


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for variable in ("WANDB_API_KEY", "WANDB_MODE", "KDLAB_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["doctor", *arguments])
    return main()


def test_the_table_has_every_section_and_fits_a_screen_of_80(here, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert command(monkeypatch) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    for title in ("Versions", "Devices", "Threads", "Folders", "Weights & Biases", "Extras"):
        assert title in lines
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "✓ nothing here would break a run"
    assert any(line.split()[:2] == ["kdlab", VERSION] for line in lines)


def test_it_shows_what_the_same_command_line_would_use(here, capsys):
    assert doctor(["--json", "paths.outputs=elsewhere", "hardware.threads=3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["Folders"]["paths.store"][0] == str(here / "elsewhere" / "store")
    assert found["Threads"]["hardware.threads"][0] == "3"
    assert found["problems"] == []


def test_what_would_break_a_run_comes_last_with_exit_code_1(here, capsys, monkeypatch):
    (here / "file").touch()
    monkeypatch.setenv("COLUMNS", "80")
    assert doctor(["paths.outputs=file/x"]) == 1
    assert capsys.readouterr().out.rstrip().splitlines()[-1] == (
        f"✗ paths.outputs must be a folder that can be written, got {here / 'file' / 'x'} (Not a directory): "
        "choose paths.outputs=…"
    )


def test_a_key_is_found_and_not_printed_and_no_network_is_used(here, capsys, monkeypatch):
    key = "0123456789abcdef" * 2 + "01234567"
    connected = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    assert doctor(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)["Weights & Biases"]
    assert (found["API key"][0], found["mode"][0]) == ("none", "offline")
    (here / "netrc").write_text(f"machine api.wandb.ai login user password {key}\n")
    assert doctor(["--json"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed)["Weights & Biases"]
    assert (found["API key"][0], found["mode"][0]) == ("found", "online")
    assert key not in printed and connected == []
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert doctor(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["Weights & Biases"]["mode"][0] == "disabled"


def test_a_python_without_kdlabs_packages_is_told_so_before_anything_is_imported(monkeypatch, capsys):
    monkeypatch.setattr(packages, "_version", lambda name: None if name in ("torch", "hydra-core") else "1")
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert command(monkeypatch) == 1
    printed = capsys.readouterr().err
    assert f"kdlab needs torch, hydra-core, and {sys.executable} does not have them." in printed
    assert "pip install" in printed


def test_a_misspelt_key_is_an_error(monkeypatch, capsys):
    assert command(monkeypatch, "paths.output=x") == 2
    assert "Did you mean paths.outputs?" in capsys.readouterr().err
