"""One student, with and without its teachers."""

from dataclasses import replace

from omegaconf import DictConfig

from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.stages import SUPERVISED, on_transfer_set, peer_settings, student_stage, teacher_stages
from kdlab.jobs.training.parts import make_method


def single(cfg: DictConfig, networks: Networks) -> Plan:
    """One teacher or several, one student, and the same student without them."""
    alone = student_stage(cfg)
    method = make_method(alone)
    if method.is_supervised:
        return Plan(stages=(on_transfer_set(cfg, alone),), student=alone)
    teachers = teacher_stages(cfg) if method.needs_teacher else ()
    peer = peer_settings(cfg) if method.taught_by == "peer" else None
    student = on_transfer_set(cfg, replace(alone, teachers=teachers, peer=peer))
    baseline = student_stage(cfg, "baseline", loss=SUPERVISED) if cfg.baseline else None
    trained = (stage for stage in (baseline, student) if stage)
    return Plan((*(teacher for teacher, _ in teachers), *trained), student, teachers, baseline)
