"""Reference layers in numpy, double precision, and directional derivatives."""

import numpy as np
from scipy.signal import convolve2d, correlate2d


def array(tensor):
    return tensor.detach().double().numpy()


def convolved(maps, layer, transposed=False):
    """3×3 or 1×1, zero padding: each output channel is the sum over input channels of two-dimensional filters."""
    weight, slide = array(layer.weight), convolve2d if transposed else correlate2d
    filters = weight if transposed else weight.swapaxes(0, 1)  # (input, output, …)
    outputs = [
        [sum(slide(sample[i], filters[i, o], "same") for i in range(len(filters))) for o in range(filters.shape[1])]
        for sample in maps
    ]
    bias = 0 if layer.bias is None else array(layer.bias)[:, None, None]
    return np.array(outputs) + bias


def batch_normalised(maps, layer):
    mean, variance = (statistic(maps, axis=(0, 2, 3), keepdims=True) for statistic in (np.mean, np.var))
    scale, shift = (array(values)[None, :, None, None] for values in (layer.weight, layer.bias))
    return (maps - mean) / np.sqrt(variance + layer.eps) * scale + shift


def averaged(maps, size):
    """Means over equal blocks."""
    batch, channels, height, width = maps.shape
    blocks = maps.reshape(batch, channels, size[0], height // size[0], size[1], width // size[1])
    return blocks.mean(axis=(3, 5))


def slope(function, at, direction, step=1e-5):
    """Directional derivative by central differences."""
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)
