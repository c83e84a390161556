"""The LightningModules that `loss=` chooses from: each defines one training step."""

from kdlab.methods.attention_transfer import AttentionTransfer
from kdlab.methods.base import Distiller
from kdlab.methods.born_again import BornAgain
from kdlab.methods.feature import FeatureDistillation
from kdlab.methods.mean_teacher import MeanTeacher
from kdlab.methods.mutual_learning import MutualLearning
from kdlab.methods.progressive import Progressive
from kdlab.methods.soft_targets import DecoupledDistillation, SoftTargets
from kdlab.methods.teacher_student import TeacherStudent

__all__ = [
    "AttentionTransfer",
    "BornAgain",
    "DecoupledDistillation",
    "Distiller",
    "FeatureDistillation",
    "MeanTeacher",
    "MutualLearning",
    "Progressive",
    "SoftTargets",
    "TeacherStudent",
]

SelfDistillation = MeanTeacher  # its old name, in configs from before
