"""Born-again networks: each generation is the same network, distilled from the generation before.

Furlanello, Lipton, Tschannen, Itti & Anandkumar, "Born-Again Neural Networks", ICML 2018 (arXiv:1805.04770).
"""

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Ensemble, Networks, Plan
from kdlab.jobs.stages import SUPERVISED, check_choice, check_numbered, check_whole, distilled_stage, student_stage
from kdlab.jobs.training.stage import Stage

SEED_STRIDE = 1_000_000  # between generations: further apart than the seeds of a sweep


def born_again(cfg: DictConfig, networks: Networks) -> Plan:
    """`plan.generations` of `model.student`: the first trains on labels only; `model.teacher` is not used.

    The `control` is the same network, trained on labels for as many epochs as all generations together.

    Raises:
        BadInput: a setting of the plan is out of its range, or `model.teachers` has entries.
    """
    check_whole("plan.generations", cfg.plan.generations, 1)
    check_choice("plan.ensemble", cfg.plan.ensemble, ("probabilities", "logits"))
    check_numbered(cfg, "generation", cfg.plan.generations)
    if cfg.model.teachers:
        named = ", ".join(cfg.model.teachers)
        raise BadInput(f"model.teachers has no use in plan=born_again, got {named}. Leave it out, or use plan=single.")
    generations = _generations(cfg)
    if len(generations) == 1:
        return Plan(stages=generations, student=generations[0], generations=generations)
    total = sum(stage.epochs for stage in generations)
    control = student_stage(cfg, "control", loss=SUPERVISED, epochs=total) if cfg.baseline else None
    return Plan(
        stages=(*generations, control) if control else generations,
        student=generations[-1],
        teachers=((generations[-2], 1.0),),
        baseline=generations[0],
        control=control,
        generations=generations,
        ensemble=Ensemble(tuple((stage, 1.0) for stage in generations), cfg.plan.ensemble),
    )


def _generations(cfg: DictConfig) -> tuple[Stage, ...]:
    check_whole("seed", cfg.seed, 0)
    stages = [student_stage(cfg, "generation1", loss=SUPERVISED)]
    for index in range(1, cfg.plan.generations):
        seed = cfg.seed + index * SEED_STRIDE
        teachers = ((stages[-1], 1.0),)
        stages.append(distilled_stage(cfg, f"generation{index + 1}", teachers, step=index - 1, seed=seed))
    return tuple(stages)
