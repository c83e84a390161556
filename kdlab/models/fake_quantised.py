"""Fake quantisation: a network that computes in float32, rounded everywhere as its INT8 file will be.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018
(arXiv:1712.05877). Under a teacher: Kim, Bhalgat, Lee, Patel & Kwak, "QKD: Quantization-aware Knowledge Distillation",
2019 (arXiv:1911.12491).
"""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.errors import BadInput, first_line
from kdlab.models.folding import fold
from kdlab.models.network import Network


@dataclass(frozen=True)
class Quantisation:
    """How a network is prepared for INT8.

    Args:
        calibration_samples: training images on which the first ranges of activations are found; training moves them.
    """

    calibration_samples: int = 2048


class FakeQuantised(nn.Module):
    """A bare network whose BatchNorms are folded, and whose weights and activations are rounded to 256 steps.

    Weights: per output channel, signed, symmetric, with the range that they have now. Activations: per tensor,
    unsigned; in training their ranges follow a moving average, in eval mode they stay. Biases: in steps of the sums
    that they are added to. Dropout is off. Gradients pass the rounding unchanged, and are 0 outside of a range.

    Args:
        module: a bare network on images, with its weights; it is changed.
        shape: of an image as the bare network takes it: `(channels, height, width)`.
    """

    def __init__(self, module: nn.Module, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        images = torch.zeros(2, *self.shape)
        fold(module.eval())
        module.requires_grad_()  # also biases that folding made
        self.graph: Any = _prepared(module, images)
        with torch.no_grad():
            self.graph(images)  # gives the ranges of channels their shapes
        for observer in self._activations():
            observer.activation_post_process.reset_min_max_vals()
        # torchao takes tensors without its version numbers for those of an old version, whose least step was another.
        least = {name: tensor.clone() for name, tensor in self.named_buffers() if name.endswith(".eps")}
        self.register_load_state_dict_post_hook(lambda loaded, _: loaded._restore(least))  # type: ignore[no-untyped-call]
        self.train(module.training)

    def forward(self, images: Tensor) -> Tensor:
        """Logits; in float32 also under autocast, whose bfloat16 is coarser than the steps."""
        with torch.autocast(images.device.type, enabled=False):
            logits: Tensor = self.graph(images.float())
        return logits

    def train(self, mode: bool = True) -> "FakeQuantised":
        """In training the ranges of activations follow what they see."""
        self.training = mode
        for fake in self._activations():
            fake.enable_observer(mode)
        return self

    def converted(self) -> nn.Module:
        """A copy with integer weights and explicit rounding, for an exporter: the same logits as in eval mode."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        with _quiet():
            converted: nn.Module = convert_pt2e(copy.deepcopy(self.graph))
        return converted

    def _restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self.get_buffer(name).copy_(tensor)

    def _activations(self) -> Iterator[Any]:
        """The fake quantisers of activations."""
        return (one for one in self.graph.modules() if getattr(one, "is_per_channel", None) is False)


def fake_quantise(network: Network, example: Tensor | Mapping[str, Any], *, name: str) -> None:
    """Replaces the bare network by one that is rounded; its ranges of activations are yet to be found.

    Args:
        network: on the CPU, changed in place.
        example: raw images of the shape that it will take.
        name: of the network, for messages.

    Raises:
        BadInput: torchao is not installed, the network takes no images, or torch.export cannot follow it.
    """
    training = network.training
    try:
        if not isinstance(example, Tensor):
            raise TypeError("it takes no images")
        network.module = FakeQuantised(network.module, network.prepare(example).shape[1:])
    except ImportError as error:
        raise BadInput('plan=qat needs the extra qat, which is not installed: pip install "kdlab[qat]"') from error
    except Exception as error:  # of torch.export, of torchao, or of the network
        raise BadInput(
            f"plan=qat: torch.export and torchao cannot prepare {name}: {first_line(error).rstrip('.')}. Choose "
            "another network, or quantise it after training: python -m kdlab.export."
        ) from error
    network.train(training)


def _prepared(module: nn.Module, images: Tensor) -> nn.Module:
    with _quiet():
        from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

        from kdlab.models.int8_places import Int8Places

        graph = torch.export.export(module, (images,), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
        prepared: nn.Module = prepare_qat_pt2e(graph, Int8Places())
        return prepared


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of torch and torchao about each other."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
