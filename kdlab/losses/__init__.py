"""Distillation losses: tensors in, scalar out."""

from kdlab.losses.attention import attention_transfer
from kdlab.losses.born_again import confidence_weighted_ce, permuted_kd
from kdlab.losses.correlation import correlation_congruence
from kdlab.losses.crd import ContrastiveRepresentation
from kdlab.losses.dist import dist
from kdlab.losses.dkd import dkd
from kdlab.losses.factor import FactorTransfer, factor_transfer
from kdlab.losses.feature import cosine_distance, normalised_distance
from kdlab.losses.fsp import FlowOfSolution, fsp
from kdlab.losses.hint import hint
from kdlab.losses.jsd import generalised_jsd
from kdlab.losses.labels import ce
from kdlab.losses.logit_mse import logit_mse
from kdlab.losses.nst import nst
from kdlab.losses.pkt import pkt
from kdlab.losses.relation import rkd_angle, rkd_distance
from kdlab.losses.response import response_kd
from kdlab.losses.review import Review, hierarchical_context
from kdlab.losses.similarity import similarity_preserving
from kdlab.losses.standardised_kd import standardised_kd
from kdlab.losses.vid import VariationalInformation

__all__ = [
    "ContrastiveRepresentation",
    "FactorTransfer",
    "FlowOfSolution",
    "Review",
    "VariationalInformation",
    "attention_transfer",
    "ce",
    "confidence_weighted_ce",
    "correlation_congruence",
    "cosine_distance",
    "dist",
    "dkd",
    "factor_transfer",
    "fsp",
    "generalised_jsd",
    "hierarchical_context",
    "hint",
    "logit_mse",
    "normalised_distance",
    "nst",
    "permuted_kd",
    "pkt",
    "response_kd",
    "rkd_angle",
    "rkd_distance",
    "similarity_preserving",
    "standardised_kd",
]
