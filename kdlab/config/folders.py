"""Where kdlab's own configs lie, in a clone and in a wheel; this module does not import Hydra."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = PACKAGE / "shipped"
ROOT = SHIPPED if SHIPPED.is_dir() else PACKAGE.parent  # of conf/ and sweeps/: in a wheel, in a clone
CONF = ROOT / "conf"
