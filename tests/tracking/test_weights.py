"""Addresses of W&B as checkpoints. A stand-in for the public API has the artifacts: their files lie in folders here."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from safetensors.torch import save_file

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.preparation import initial_network
from kdlab.store.fingerprint import file_hash
from kdlab.tracking import weights as wandb_weights
from tests.small import TINY, tiny_plan

ADDRESS = "wandb://team/students/teacher-resnet8:best"


class Server:
    """Artifacts by name and alias; records the calls for an artifact, and counts the downloads of files."""

    def __init__(self, root: Path) -> None:
        self.root, self.versions, self.calls, self.downloads = root, {}, [], 0

    def put(self, alias: str, version: str, **files: bytes) -> None:
        folder = self.root / version
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_bytes(content)
        self.versions[f"team/students/teacher-resnet8:{alias}"] = version

    def artifact(self, name: str) -> SimpleNamespace:
        self.calls.append(name)
        if name not in self.versions:
            raise ValueError(f"artifact membership {name} not found\nin the project")
        version = self.versions[name]
        entries = dict.fromkeys(path.name for path in (self.root / version).iterdir())
        manifest = SimpleNamespace(entries=entries)
        return SimpleNamespace(
            name=f"teacher-resnet8:{version}", version=version, manifest=manifest, get_entry=self.entry(version)
        )

    def entry(self, version: str):
        def get_entry(name: str) -> SimpleNamespace:
            return SimpleNamespace(download=lambda root: self.copy(self.root / version / name, root))

        return get_entry

    def copy(self, file: Path, root: str) -> str:
        self.downloads += 1
        return shutil.copy(file, root)


@pytest.fixture
def server(tmp_path, monkeypatch):
    found = Server(tmp_path / "server")
    monkeypatch.setattr(wandb, "Api", lambda: found)
    monkeypatch.setattr(wandb_weights, "has_credentials", lambda: True)
    wandb_weights._file.cache_clear()
    return found


def weights(shift: float = 0.0) -> dict[str, torch.Tensor]:
    """Of the tiny teacher, as drawn from its seed, moved by a constant."""
    network = initial_network(tiny_plan().teacher)
    return {
        name: value + shift if value.is_floating_point() else value
        for name, value in network.module.state_dict().items()
    }


def safetensors(shift: float = 0.0) -> bytes:
    path = Path("weights.safetensors")
    save_file({name: value.contiguous() for name, value in weights(shift).items()}, path)
    return path.read_bytes()


def pickled(content: object) -> bytes:
    torch.save(content, "weights.pth")
    return Path("weights.pth").read_bytes()


def planned(tmp_path: Path, *overrides: str):
    cfg = compose_config(
        [*TINY, f"paths.store={tmp_path / 'store'}", *(overrides or [f"model.teacher.checkpoint='{ADDRESS}'"])]
    )
    wandb_weights._file.cache_clear()
    return kdlab.plan(cfg)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_network_that_kdlab_recorded_is_a_teacher_like_one_from_a_file(server, tmp_path):
    content = safetensors()
    server.put("best", "v3", student__safetensors=content, config__yaml=b"network: {}", last__ckpt=b"")
    teacher = planned(tmp_path).teacher
    kept = tmp_path / "store" / "artifacts" / "team" / "students" / "teacher-resnet8" / "v3" / "student.safetensors"
    assert (teacher.epochs, teacher.network["checkpoint"], kept.read_bytes()) == (0, str(kept), content)
    assert [path.name for path in kept.parent.parent.iterdir()] == ["v3"]
    local = planned(tmp_path, f"model.teacher.checkpoint={tmp_path / 'weights.safetensors'}").teacher
    assert stage_fingerprint(teacher) == stage_fingerprint(local)
    loaded = initial_network(teacher).module.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights().items())


def test_other_content_behind_the_same_alias_is_another_stage(server, tmp_path):
    server.put("best", "v3", student__safetensors=safetensors())
    first = planned(tmp_path)
    server.put("best", "v4", student__safetensors=safetensors(0.5))
    second = planned(tmp_path)
    assert stage_fingerprint(first.teacher) != stage_fingerprint(second.teacher)
    assert stage_fingerprint(first.student) != stage_fingerprint(second.student)
    assert stage_fingerprint(first.baseline) == stage_fingerprint(second.baseline)


def test_one_foreign_file_of_weights_is_found_among_others(server, tmp_path):
    server.put("best", "v0", model__pth=pickled({"state_dict": weights()}), notes__txt=b"by hand")
    teacher = planned(tmp_path).teacher
    loaded = initial_network(teacher).module.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights().items())


def test_a_student_can_start_from_an_address_too(server, tmp_path):
    server.put("best", "v0", model__pth=pickled(weights()))
    student = planned(tmp_path, f"model.student.checkpoint='{ADDRESS}'").student
    assert student.epochs == 2
    assert file_hash(Path(student.network["checkpoint"])) == file_hash(tmp_path / "weights.pth")


def test_each_version_is_downloaded_once_and_its_own_address_needs_no_network(server, tmp_path, monkeypatch):
    server.put("best", "v3", student__safetensors=safetensors())
    planned(tmp_path)
    planned(tmp_path)
    assert (server.downloads, len(server.calls)) == (1, 2)
    monkeypatch.setattr(wandb_weights, "has_credentials", lambda: False)
    fixed = planned(tmp_path, f"model.teacher.checkpoint='{ADDRESS.replace('best', 'v3')}'").teacher
    assert Path(fixed.network["checkpoint"]).parent.name == "v3"
    assert (server.downloads, len(server.calls)) == (1, 2)


def test_a_process_looks_an_alias_up_once_for_all_its_cells(server, tmp_path):
    server.put("best", "v3", student__safetensors=safetensors())
    cfg = compose_config([*TINY, f"paths.store={tmp_path / 'store'}", f"model.teacher.checkpoint='{ADDRESS}'"])
    kdlab.plan(cfg), kdlab.plan(cfg)
    assert len(server.calls) == 1
    assert cfg.model.teacher.checkpoint == ADDRESS


def test_a_pickle_that_wants_to_run_code_is_refused(server, tmp_path):
    class Sly:
        def __reduce__(self):
            return os.system, ("true",)

    server.put("best", "v0", model__pth=pickled({"weights": Sly()}))
    with pytest.raises(BadInput, match=r"model\.teacher\.checkpoint: .* would run .*system when it is read: refused"):
        check_stages(planned(tmp_path).stages)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a__pth": b"", "b__safetensors": b"", "c__txt": b""}, "it has several: a.pth, b.safetensors. Download"),
        ({"c__txt": b"", "d__md": b""}, "it has only c.txt, d.md. Download the right one and give its path."),
        ({}, "it has no files."),
    ],
)
def test_an_artifact_without_one_file_of_weights_is_an_error_that_names_what_is_there(server, tmp_path, files, text):
    server.put("best", "v0", **files)
    with pytest.raises(BadInput) as seen:
        planned(tmp_path)
    start = (
        "model.teacher.checkpoint: teacher-resnet8:v0 must hold one file of weights (.safetensors, .pt, .pth, .ckpt, "
    )
    assert str(seen.value).startswith(start) and text in str(seen.value)


@pytest.mark.parametrize(
    "typed", ["wandb://team/name:best", "wandb://team/students/name", "wandb://team/../name..x:best"]
)
def test_what_is_no_address_is_an_error(server, tmp_path, typed):
    with pytest.raises(BadInput) as seen:
        planned(tmp_path, f"model.teacher.checkpoint='{typed}'")
    assert str(seen.value) == (
        f"model.teacher.checkpoint: an address is wandb://entity/project/name:alias, got {typed}. Give all four parts."
    )


def test_a_missing_artifact_is_an_error_that_names_it_and_earlier_downloads(server, tmp_path):
    server.put("best", "v3", student__safetensors=safetensors())
    planned(tmp_path)
    with pytest.raises(BadInput) as seen:
        planned(tmp_path, f"model.teacher.checkpoint='{ADDRESS.replace('best', 'worst')}'")
    message = str(seen.value)
    assert message.startswith("model.teacher.checkpoint: wandb://team/students/teacher-resnet8:worst cannot be ")
    assert "(artifact membership team/students/teacher-resnet8:worst not found)" in message
    assert "teacher-resnet8 (use …:v3)" in message
    assert "give the file's path: model.teacher.checkpoint=…" in message


def test_without_a_key_there_is_an_error_and_no_prompt(server, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_weights, "has_credentials", lambda: False)
    with pytest.raises(BadInput) as seen:
        planned(tmp_path)
    assert "(there is no API key: run `wandb login` or set WANDB_API_KEY)" in str(seen.value)
    assert "Downloaded before: nothing in " in str(seen.value)
    assert server.calls == []
