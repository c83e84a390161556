"""A network of a few numbers as an ONNX file: the mean of each channel, scaled, is its logit."""

import numpy as np
import onnx
from onnx import TensorProto, helper

IMAGES = np.arange(4 * 3 * 2 * 2, dtype=np.uint8).reshape(4, 3, 2, 2) % 7


def write_tiny(path, prepares=True):
    """Writes it.

    Args:
        path: of the file.
        prepares: whether it takes raw images; otherwise prepared ones, float32.
    """
    raw = ["images"] if prepares else ["prepared_images"]
    prepare = [helper.make_node("Cast", ["images"], ["prepared_images"], to=TensorProto.FLOAT)] if prepares else []
    mean = helper.make_node("GlobalAveragePool", ["prepared_images"], ["means"])
    flat = helper.make_node("Flatten", ["means"], ["logits"])
    kind = TensorProto.UINT8 if prepares else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(raw[0], kind, ["batch", 3, 2, 2])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph([*prepare, mean, flat], "tiny", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return str(path)


def write_inputs(folder):
    """Files of raw and of prepared images, as a measurement takes them."""
    np.savez(folder / "images.npz", images=IMAGES)
    np.savez(folder / "prepared_images.npz", prepared_images=IMAGES.astype(np.float32))
    return {"inputs": str(folder / "images.npz"), "bare_inputs": str(folder / "prepared_images.npz")}


LABELS = IMAGES.mean((2, 3)).argmax(1).tolist()
