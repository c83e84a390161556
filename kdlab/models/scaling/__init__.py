"""Networks of a requested size: the depth and width of a family, scaled to parameters, FLOPs or a latency.

Compound scaling: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
(arXiv:1905.11946). Parameters are proportional to depth × width²; here depth takes a quarter of their logarithm.

A family says which depths it has and how each is widened; the search for a size is the same for all.
"""

from kdlab.models.scaling.families import is_of_family
from kdlab.models.scaling.measures import PARAMETERS, Measure, count_parameters, flops_measure, latency_measure
from kdlab.models.scaling.search import TOLERANCE, Scaled, described, scaled_network

__all__ = [
    "PARAMETERS",
    "TOLERANCE",
    "Measure",
    "Scaled",
    "count_parameters",
    "described",
    "flops_measure",
    "is_of_family",
    "latency_measure",
    "scaled_network",
]
