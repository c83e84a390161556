"""Components of many stages: preprocessing, adapters, frozen teachers, cached outputs, metrics."""

import hashlib
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from kdlab.data.image.mixing import Mixing
from kdlab.data.image.randaugment import randaugmented
from kdlab.data.seeds import Stream, derive_seed, generator
from kdlab.methods.adapters import make_adapter, match_size
from kdlab.models.cifar import resnet8, vgg8
from kdlab.models.cost import flops, parameter_count
from kdlab.models.fake_quantised import fake_quantise
from kdlab.models.layout import as_map
from kdlab.models.masks import mask_smallest
from kdlab.models.network import Network
from kdlab.models.pruning import IMPORTANCE, Pruning, prune
from kdlab.models.sources.torchvision import _with_head
from kdlab.models.taps import Outputs
from kdlab.tasks.image_classification import ImageClassification
from kdlab.tasks.metrics import agreement, kl_to_teacher
from kdlab.teachers.cache.encoding import Encoding
from kdlab.teachers.cache.fixed_batch import FixedBatch, fill_size
from kdlab.teachers.frozen import FrozenTeacher
from kdlab.teachers.precision import keep_in
from tests.recorded.recording import Case, Values, case_of, summary

NORMALISED = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def images(samples: int = 4, side: int = 12) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (samples, 3, side, side), dtype=np.uint8))


def network(**preprocessing: object) -> Network:
    """A residual network whose norms have statistics and scales of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = resnet8(num_classes=5, widths=(2, 2, 4, 4))
        for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.running_mean.uniform_(-0.3, 0.3)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.3, 0.3)
    return Network(module, **{**NORMALISED, **preprocessing}).eval()


@torch.no_grad()
def preprocessing() -> Values:
    plain, resized = network(), network(image_size=16)
    unchanged = network(mean=None, std=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        headed = _with_head(vgg8(num_classes=7, widths=((2,),) * 5), 7, 3)
    return {
        "normalised": summary(plain.prepare(images())),
        "of floats": summary(plain.prepare(images() / 255)),
        "resized": summary(resized.prepare(images())),
        "plain": summary(unchanged.prepare(images())),
        "logits": summary(plain(images()), resized(images())),
        "tokens as a map": summary(as_map(drawn(0, 2, 17, 3), nn.Identity())),
        "new head": summary(*headed.fc.parameters()),
    }


def adapters() -> Values:
    found = {}
    for own, other in [((4, 6, 6), (5, 3, 3)), ((4, 3, 3), (6, 1, 1)), ((7, 4), (7, 6)), ((4,), (6,))]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            adapter = make_adapter(torch.Size(own), torch.Size(other))
        mapped = adapter(match_size(drawn(1, 6, *own), other))
        found[f"{own} to {other}"] = summary(mapped, *adapter.parameters())
    return {**found, "equal shapes": str(make_adapter(torch.Size((4,)), torch.Size((4,))))}


def teacher(roles: tuple[str, ...] = ("mid", "high"), logits: bool = True) -> Values:
    taps = {"low": "layer1", "mid": "layer2", "high": "layer3"}
    frozen = FrozenTeacher(network, taps=taps, roles=roles, precision="float32", logits=logits)
    passes = [frozen(images()), frozen(images())]  # the first pass may be complete, the second truncated
    kinds = [type(part).__name__ for part in frozen.network.module.modules()]
    return {
        "norms left": kinds.count("BatchNorm2d"),
        "logits": summary(*(outputs.logits for outputs in passes if logits)) if logits else "none",
        **{role: summary(*(outputs.features[role] for outputs in passes)) for role in roles},
    }


def bfloat16_weights() -> Values:
    module = network().module
    keep_in(module, torch.bfloat16)
    kept = [parameter for parameter in module.parameters() if parameter.dtype == torch.bfloat16]
    return {"layers": len(kept), "weights": summary(*kept)}


def encodings() -> Values:
    """The bytes of numbers that are exact in half precision, and the decoded values of any numbers."""
    exact = Outputs(drawn(1, 4, 6).mul(8).round() / 8, {"embedding": drawn(2, 4, 3).mul(8).round() / 8})
    rough = Outputs(1000 * drawn(3, 4, 6), {"embedding": drawn(4, 4, 3)})
    found: dict[str, object] = {"batches": str([fill_size(samples) for samples in (1, 16, 33, 64)])}
    for dtype in ("float32", "float16"):
        for top_k in (None, 2):
            encoding = Encoding((6,), (("embedding", (3,)),), dtype, top_k)
            back = encoding.decode(encoding.encode(rough))
            found[f"{dtype}, top_k={top_k}"] = summary(back.logits, back.features["embedding"])
            if top_k is None:
                found[f"{dtype} bytes"] = hashlib.sha256(encoding.encode(exact).tobytes()).hexdigest()[:16]
    return found


@torch.no_grad()
def filled() -> Values:
    outputs = FixedBatch(lambda inputs: Outputs(network()(inputs)), 16)(images(20))
    return {"logits": summary(outputs.logits), "samples": len(outputs.logits)}


def figures() -> Values:
    logits, other = drawn(1, 200, 5) * 2, drawn(2, 200, 5)
    targets = torch.where(torch.arange(200) % 9 == 0, -100, torch.arange(200) % 5)
    return {
        **ImageClassification().figures(logits, targets),
        "agreement": agreement(logits, other),
        "kl_to_teacher": kl_to_teacher(logits, other),
        "params": parameter_count(network()),
        "flops": flops(network(), images(1)),
    }


def pruned() -> Values:
    """Which channels and weights are removed, with an order that does not depend on the last bit of a score."""
    found: dict[str, object] = {}
    for importance in IMPORTANCE:
        one = network()
        prune(one, network(), images(1), Pruning(0.3, round_to=1, importance=importance), seed=3)
        assert one.pruned
        found[importance] = str([[name, channels] for name, _, channels in one.pruned.history])
    one = network()
    mask_smallest(one.module, 0.5)
    return {**found, "masked": summary(*one.module.parameters())}


def quantised() -> Values:
    """Where values are rounded, to which integers, and the ranges that images give; a value may round either way."""
    one = network()
    fake_quantise(one, images(), name="network")
    with torch.no_grad():
        one.train()(images())
    rounded = [part for part in one.modules() if hasattr(part, "activation_post_process")]
    ranges = [part.activation_post_process for part in rounded]
    integers = Counter((part.quant_min, part.quant_max) for part in rounded)
    return {
        "places": str(sorted(integers.items())),
        "ranges": summary(*(bound for one in ranges for bound in (one.min_val, one.max_val))),
    }


def augmented() -> Values:
    """Integers alone: positions, labels and operations do not depend on a last bit."""
    ramp, found = torch.arange(12 * 3 * 16 * 16).remainder(251).to(torch.uint8).reshape(12, 3, 16, 16), {}
    for name, mixing in {"mixup": Mixing(mixup=0.4), "cutmix": Mixing(cutmix=1.0)}.items():
        mixed = mixing.apply(ramp, torch.arange(12), np.random.default_rng(2))
        found |= {f"{name}: labels": str(mixed.labels.tolist()), f"{name}: share": mixed.share}
        found[f"{name}: images"] = summary(mixed.images)
    changed = randaugmented(ramp, torch.arange(12), torch.arange(12), 9)
    return {**found, "RandAugment": summary(changed)}


def seeds() -> Values:
    found: dict[str, object] = {stream.name: derive_seed(stream, 1, 2) for stream in Stream}
    return {**found, "drawn": str(generator(Stream.ORDER, 7, 8).integers(1000, size=5).tolist())}


SHARED: dict[str, Case] = {
    "networks": case_of("networks", preprocessing, "models.resnet", "models.vgg"),
    "adapters": case_of("adapters", adapters),
    "augmentation": case_of("augmentation", augmented),
    "teachers": case_of("teachers", teacher, "networks", "models.resnet"),
    "teachers: without logits": case_of("teachers", lambda: teacher(("low",), False), "networks", "models.resnet"),
    "teachers: weights in bfloat16": case_of("teachers", bfloat16_weights, "models.resnet"),
    "cache: encodings": case_of("cache", encodings),
    "cache: batches of one size": case_of("cache", filled, "networks", "models.resnet"),
    "evaluation": case_of("evaluation", figures, "networks", "models.resnet"),
    "pruning": case_of("pruning", pruned, "networks", "models.resnet"),
    "quantisation": case_of("quantisation", quantised, "networks", "models.resnet"),
    "training: seeds": case_of("training", seeds),
}
