import shutil

import pytest

from kdlab.diagnosis.folders import folders


def properties(root, **paths):
    paths = {"outputs": root / "outputs", "store": root / "outputs" / "store", "data": root / "data", **paths}
    return {one.name: one for one in folders({name: str(path) for name, path in paths.items()})}


def free(monkeypatch, size):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10 * size, 9 * size, size))


def test_folders_that_a_run_makes_are_no_problem_and_nothing_is_made(tmp_path, monkeypatch):
    free(monkeypatch, 48_300_000_000)
    found = properties(tmp_path)
    assert [one.problem for one in found.values()] == ["", "", ""]
    assert found["paths.outputs"].value == str(tmp_path / "outputs")
    assert found["paths.outputs"].about == "a run makes it; 48.3 GB free"
    assert found["paths.data"].about.startswith("not there; ")
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_counted_and_measured(tmp_path, monkeypatch):
    free(monkeypatch, 48_300_000_000)
    for name, result in (("a", True), ("b", True), ("c", False)):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "student.safetensors").write_bytes(bytes(1000))
        if result:
            (tmp_path / "store" / name / "result.json").write_text("{}")
    found = properties(tmp_path, store=tmp_path / "store")["paths.store"]
    assert found.about == "2 finished jobs, 3 kB; 48.3 GB free"


def test_data_are_listed_with_the_variable_that_names_their_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KDLAB_DATA", str(tmp_path))
    for name in "abcdefg":
        (tmp_path / name).mkdir()
    assert properties(tmp_path, data=tmp_path)["paths.data"].about == "from KDLAB_DATA; holds a, b, c, d, e, f …"


@pytest.mark.parametrize("name", ["outputs", "store"])
def test_a_folder_that_cannot_be_written_is_one_problem_with_its_fix(name, tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / name
    found = properties(tmp_path, **{name: path}, **({"store": path / "store"} if name == "outputs" else {}))
    assert [one.problem for one in found.values() if one.problem] == [
        f"paths.{name} must be a folder that can be written, got {path} (Not a directory): choose paths.{name}=…"
    ]


@pytest.mark.parametrize(("size", "is_problem"), [(999_000_000, True), (1_000_000_000, False)])
def test_a_disk_that_is_nearly_full_is_a_problem(size, is_problem, tmp_path, monkeypatch):
    free(monkeypatch, size)
    problem = properties(tmp_path)["paths.outputs"].problem
    assert problem.startswith(f"999 MB are free at {tmp_path}, too little") == is_problem
    assert bool(problem) == is_problem
