"""kdlab: a knowledge-distillation lab."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdlab.models.network import Network

__version__ = "0.1.0"


def load(run_dir: str, *, trusted: bool = False) -> "Network":
    """The student that a run trained, in eval mode: it takes uint8 images, or floats in [0, 1].

    Args:
        run_dir: a run directory, or the folder of one of its stages such as `outputs/…/teacher`.
        trusted: also build networks from other packages than timm, torchvision, transformers and kdlab's own,
            which runs their code.

    Raises:
        kdlab.errors.BadInput: there is no finished network, or its package was not trusted.
    """
    from kdlab.models.saved import load_network, stage_folder

    return load_network(stage_folder(run_dir), trusted=trusted)
