"""The single plan: one student, trained with and without its teachers."""

from dataclasses import replace

from omegaconf import DictConfig

from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.stages import SUPERVISED, peer_settings, student_stage, teacher_stages, with_transfer_set
from kdlab.jobs.training.parts import make_method


def single(cfg: DictConfig, networks: Networks) -> Plan:
    """One teacher or several, one student, and the same student trained without teachers (`baseline`)."""
    student = student_stage(cfg)
    method = make_method(student)
    if method.is_supervised:
        return Plan(stages=(with_transfer_set(cfg, student),), student=student)
    teachers = teacher_stages(cfg) if method.needs_teacher else ()
    peer = peer_settings(cfg) if method.teacher_kind == "peer" else None
    student = with_transfer_set(cfg, replace(student, teachers=teachers, peer=peer))
    baseline = student_stage(cfg, "baseline", loss=SUPERVISED) if cfg.baseline else None
    trained = (stage for stage in (baseline, student) if stage)
    return Plan((*(teacher for teacher, _ in teachers), *trained), student, teachers, baseline)
