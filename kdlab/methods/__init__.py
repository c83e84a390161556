"""What one training step does: the LightningModules that `loss=` chooses from."""

from kdlab.methods.base import Distiller
from kdlab.methods.teacher_student import TeacherStudent

__all__ = ["Distiller", "TeacherStudent"]
