"""Where INT8 kernels round: the inputs and the output of each layer, its ReLU included, as ONNX Runtime fuses them.

Rounding anywhere else would leave layers in float32: a convolution becomes `QLinearConv` only if what it reads and what
it leaves are both rounded, and so does the sum after it (`QLinearAdd`).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    DerivedObserverOrFakeQuantize,
    FakeQuantize,
    MovingAverageMinMaxObserver,
    PerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    DerivedQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

aten = torch.ops.aten
WEIGHTED = {aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.linear.default}
COMBINING = {
    aten.add.Tensor,
    aten.add_.Tensor,
    aten.mul.Tensor,
    aten.mul_.Tensor,
    aten.cat.default,
    aten.mean.dim,
    aten.avg_pool2d.default,
    aten.adaptive_avg_pool2d.default,
}
CLAMPING = {
    aten.relu.default,
    aten.relu_.default,
    aten.hardtanh.default,
    aten.hardtanh_.default,
    aten.relu6.default,
    aten.relu6_.default,
}
"""They only limit the range that is rounded, so they cost nothing after a layer."""
MOVING = {
    aten.slice.Tensor,
    aten.pad.default,
    aten.constant_pad_nd.default,
    aten.flatten.using_ints,
    aten.view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.squeeze.dim,
    aten.unsqueeze.default,
    aten.max_pool2d.default,
    aten.dropout.default,
    aten.clone.default,
}
"""They leave values as they are, dropout in eval mode too: rounded ones must not be rounded again to other steps."""
LEAST = 2.0**-12  # of a step between two values, so that a layer of zeros has one
ANNOTATION = "quantization_annotation"  # the key under which torchao reads it


class CurrentRange(PerChannelMinMaxObserver):  # type: ignore[misc]
    """The range of each output channel's weights as they are now, without a memory of earlier ones."""

    def forward(self, x_orig: Tensor) -> Tensor:
        """Args: x_orig: the weight."""
        self.min_val.resize_(0)
        self.max_val.resize_(0)
        return super().forward(x_orig)  # type: ignore[no-any-return]


class RoundedBias(DerivedObserverOrFakeQuantize):  # type: ignore[misc]
    """A bias in steps of the sum that it is added to: those of what the layer reads times those of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Args: x: the bias."""
        steps, zeros = self.calculate_qparams()
        return torch.fake_quantize_per_channel_affine(x, steps, zeros, 0, self.quant_min, self.quant_max)


ACTIVATION = QuantizationSpec(
    dtype=torch.uint8,
    quant_min=0,
    quant_max=255,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=MovingAverageMinMaxObserver, eps=LEAST),
)
WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=CurrentRange, eps=LEAST),
)


class Int8Places(Quantizer):  # type: ignore[misc]
    """Marks the places in a graph of torch.export; the logits stay in float32."""

    def annotate(self, model: GraphModule) -> GraphModule:
        """Marks each layer, sum, product and mean, and what only moves their results."""
        for node in model.graph.nodes:
            if node.target in WEIGHTED:
                _mark(node, node.args[:1], {node.args[1]: WEIGHT, **_bias(node)})
            elif node.target in COMBINING:
                _mark(node, node.args, {})
            elif node.target in MOVING and _rounded(node.args[0]):
                node.meta[ANNOTATION] = QuantizationAnnotation(
                    {}, SharedQuantizationSpec(node.args[0]), _annotated=True
                )
        return model

    def prepare_obs_or_fq_callback(self, model: GraphModule, edge_or_node_to_obs_or_fq: dict[Any, Any]) -> None:
        """Rounds biases in training too; torchao's own class only does so in the converted graph."""
        for place, fake in edge_or_node_to_obs_or_fq.items():
            if type(fake) is DerivedObserverOrFakeQuantize:
                limits = fake.quant_min, fake.quant_max, fake.qscheme, fake.ch_axis
                bias = RoundedBias(fake.dtype, fake.obs_or_fqs, fake.derive_qparams_fn, *limits)
                edge_or_node_to_obs_or_fq[place] = bias

    def validate(self, model: GraphModule) -> None:
        """Every graph will do."""


def _mark(node: Node, read: Any, weights: dict[Any, QuantizationSpecBase]) -> None:
    """Rounds what a node reads, unless it is rounded already, and what it or the clamp after it leaves."""
    inputs = {one: ACTIVATION for one in _tensors(read) if not _rounded(one)} | weights
    last, users = node, list(node.users)
    if len(users) == 1 and users[0].target in CLAMPING:
        last = users[0]
    output = None if any(user.op == "output" for user in last.users) else ACTIVATION
    node.meta[ANNOTATION] = QuantizationAnnotation(inputs, output if last is node else None, _annotated=True)
    if last is not node:
        last.meta[ANNOTATION] = QuantizationAnnotation({}, output, _annotated=True)


def _bias(layer: Node) -> dict[Node, QuantizationSpecBase]:
    """The bias of a layer, if it has one, in the steps of its input and its weights."""
    images, weight, *rest = layer.args
    bias = rest[0] if rest else None
    if not isinstance(bias, Node):
        return {}
    read = images if _rounded(images) else (images, layer)
    return {
        bias: DerivedQuantizationSpec(
            derived_from=[read, (weight, layer)],
            derive_qparams_fn=_steps_of_sum,
            dtype=torch.int32,
            quant_min=-(2**31),
            quant_max=2**31 - 1,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
        )
    }


def _steps_of_sum(fakes: list[Any]) -> tuple[Tensor, Tensor]:
    read, weight = fakes
    steps = read.scale * weight.scale
    return steps, torch.zeros_like(steps, dtype=torch.int32)


def _tensors(arguments: Any) -> Iterator[Node]:
    """The nodes of floating-point tensors among arguments, also in lists."""
    for argument in arguments:
        if isinstance(argument, list | tuple):
            yield from _tensors(argument)
        elif isinstance(argument, Node):
            value = argument.meta.get("val")
            if isinstance(value, Tensor) and value.is_floating_point():
                yield argument


def _rounded(node: Any) -> bool:
    return isinstance(node, Node) and getattr(node.meta.get(ANNOTATION), "output_qspec", None) is not None
