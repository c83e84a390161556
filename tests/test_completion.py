"""Tab completion of the `kdlab` script, in this process and, once, in a real bash."""

import shutil
import subprocess
import sys

import pytest

from kdlab import __main__

COMMANDS = list(__main__.COMMANDS)


def completed(monkeypatch, capsys, line):
    """What is offered for a command line, before the shell selects what begins with its last word."""
    monkeypatch.setattr(sys, "argv", ["/opt/bin/kdlab", "-sc", "query=bash"])
    monkeypatch.setenv("COMP_LINE", line)
    assert __main__.main() == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("kdlab ", COMMANDS),
        ("kdlab tr", COMMANDS),
        ("kdlab train loss=rel", ["loss=relation"]),
        ("kdlab train -m +sweeps=gen", ["+sweeps=generations"]),
        ("kdlab cache loss=dkd loss.target", ["loss.target_weight="]),
        ("kdlab doctor paths.out", ["paths.outputs="]),
        ("kdlab evaluate ep", []),
        ("kdlab nonsense ep", []),
    ],
)
def test_commands_and_overrides_are_offered(line, offered, monkeypatch, capsys):
    assert completed(monkeypatch, capsys, line) == offered


def test_after_a_command_every_setting_is_offered(monkeypatch, capsys):
    offered = completed(monkeypatch, capsys, "kdlab train ")
    assert {"epochs=", "loss=", "model", "paths."} <= set(offered) and "train" not in offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_the_last_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/opt/bin/kdlab", "-sc", "install=bash"])
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert __main__.main() == 0
    script = tmp_path / "kdlab"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kdlab "$@"\n')
    script.chmod(0o755)
    typed = 'COMP_WORDS=(kdlab train loss=rel); COMP_CWORD=2; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=20\n'
    lines = f'{capsys.readouterr().out}\n{typed}hydra_bash_completion\necho "${{COMPREPLY[*]}}"; complete -p kdlab\n'
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = subprocess.run(["bash", "--norc", "-c", lines], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == [
        "loss=relation",
        "complete -o default -o nospace -F hydra_bash_completion kdlab",
    ]
