"""A latency is measured once on a machine and kept in the store; FLOPs are counted on a sample of the run's data."""

import json

import pytest

from kdlab.jobs.sizes import LATENCIES, measure_of
from kdlab.jobs.stages import network_settings
from tests.models.scaling import operations, settings
from tests.small import TINY, _composed


def config(tmp_path):
    return _composed((*TINY, f"paths.store={tmp_path / 'store'}", "data.image_size=16"))


def test_flops_are_those_of_an_image_of_the_data(tmp_path):
    measure = measure_of(config(tmp_path), "flops")
    assert measure.size(settings("resnet8"), 10, "model") == operations(settings("resnet8"), side=16)


def test_a_latency_is_kept_by_network_and_machine_and_never_measured_again(tmp_path):
    cfg = config(tmp_path)
    student = network_settings(cfg.model.student)
    latency = measure_of(cfg, "latency").size(student, 10, "model")
    (file,) = (tmp_path / "store" / LATENCIES).glob("*.json")
    kept = json.loads(file.read_text())
    assert kept["latency_ms"] == latency > 0
    assert kept["network"]["kwargs"] == student["kwargs"] and set(kept["machine"]) == {"cpu", "cores", "torch"}
    file.write_text(json.dumps({**kept, "latency_ms": 12.5}))
    assert measure_of(cfg, "latency").size(student, 10, "model") == 12.5
    measure_of(cfg, "latency").size({**student, "kwargs": {"widths": [3, 3, 4, 4]}}, 10, "model")
    assert len(list((tmp_path / "store" / LATENCIES).glob("*.json"))) == 2


@pytest.mark.parametrize("by", ["parameters", "flops", "latency"])
def test_every_measure_says_its_unit(tmp_path, by):
    shown = measure_of(config(tmp_path), by).show(1500.0)
    assert shown in ("1,500 parameters", "1,500 FLOPs", "1.5e+03 ms")
