"""Every loss option and recipe for a few steps on a tiny pair: each term of the loss, and the final weights."""

import tempfile
from functools import cache, partial
from pathlib import Path

import safetensors.torch

from kdlab.config.folders import CONF
from kdlab.jobs.training.cache_specs import cache_specs
from kdlab.jobs.training.history import Row
from kdlab.jobs.training.identity import stage_parts
from kdlab.jobs.training.loop import train
from kdlab.jobs.training.preparation import initial_network
from kdlab.jobs.training.stage import Stage
from kdlab.models.saved import save_network
from kdlab.settings.old_names import without_old_names
from kdlab.store.store import Store
from tests.recorded.recording import Case, Values, summary
from tests.small import tiny_plan

QUICKER = ("data.image_size=16", "data.padding=2", "data.train_samples=64", "data.batch_size=24", "plan=single")
STEADY = ("optimizer.lr=0.001", "scheduler=constant")  # large steps would amplify the rounding of other processors
GENTLER = {  # likewise loss weights that are large for an untrained teacher
    "factor": " loss.terms.factor.weight=1",
    "similarity": " loss.terms.similarity_preserving.weight=30",
}
LOSSES = sorted(path.stem for path in (CONF / "loss").glob("*.yaml"))
OPTIONS = [
    *(f"loss={name}{GENTLER.get(name, '')}" for name in without_old_names("loss", LOSSES)),
    "loss=born_again loss.treatment=cwtm",
    "loss=born_again loss.treatment=dkpp",
    "loss=feature loss.alpha=0.3 loss.beta=0.5 loss.gamma=0.2 loss.terms.rkd_angle.weight=1",
    "loss=progressive loss.step=2",
    "loss=mutual loss.terms.hint={taps:[mid],adapter:student}",
]
RECIPES = [
    "loss=ce optimizer=sgd scheduler=onecycle",
    "loss=ce optimizer=adamw scheduler=cosine",
    "loss=ce scheduler=multistep scheduler.milestones=[1] trainer.gradient_clip_val=0.5 data.drop_last=true",
    "loss=response loss.terms.response_kd.until_epoch=1 loss.terms.hint={taps:[high],adapter:teacher,from_epoch:1}",
    "loss=response trainer.accumulate_grad_batches=2 model.student.kwargs.dropout=0.3",
    "loss=response cache.dtype=float16 cache.top_k=3",
    "loss=response cache.enabled=false",
]


@cache
def stage_of(*overrides: str) -> Stage:
    return tiny_plan(*QUICKER, *overrides).student


def trained(*overrides: str) -> Values:
    """Two epochs with a teacher that has random weights."""
    stage, rows = stage_of(*overrides), list[Row]()
    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root))
        for teacher, _ in stage.teachers:
            store.folder(teacher).mkdir()
            store.describe(teacher, teacher.settings)
            save_network(store.folder(teacher), initial_network(teacher))
        folder = store.folder(stage)
        folder.mkdir()
        teachers, specs = [store.folder(teacher) for teacher in stage.needs], cache_specs(stage, store.root)
        result = train(stage, folder, teachers, specs, report=lambda done, total, row: row and rows.append(row))
        weights = safetensors.torch.load_file(folder / "student.safetensors")
    terms = {
        f"epoch {number}: {name}": float(value)
        for number, row in enumerate(rows, 1)
        for name, value in row.items()
        if name.startswith("train/")
    }
    floats = [weights[name] for name in sorted(weights) if weights[name].is_floating_point()]
    return {**terms, "weights": summary(*floats), "test/nll": result["test/nll"]}


def case(*overrides: str) -> Case:
    return Case(lambda: stage_parts(stage_of(*overrides))["versions"], partial(trained, *overrides))


TRAINING: dict[str, Case] = {
    **{option: case(*option.split(), *STEADY) for option in OPTIONS},
    **{f"recipe {recipe}": case(*recipe.split()) for recipe in RECIPES},
}
