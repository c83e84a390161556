"""Does the student still predict as its teacher does? Live agreement over a window, beside that at export."""

import math
from collections import deque
from collections.abc import Iterable
from typing import Any

Z = 1.959963984540054  # of a two-sided interval of 95 %


def wilson(successes: int, trials: int, z: float = Z) -> tuple[float, float]:
    """The Wilson score interval of a share, (0, 1) without trials.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927.
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, z * z
    centre = share + square / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


class Drift:
    """Which requests the teacher predicts too, and how often both agree.

    Args:
        share: of requests, in [0, 1]; of n requests the first to the n-th, floor(n · share) are taken.
        window: samples that count, the latest ones.
        at_export: share of the test set on which both agreed; None where the export does not say.
    """

    def __init__(self, share: float, window: int, at_export: float | None) -> None:
        self.share, self.at_export = share, at_export
        self.skipped = 0  # requests whose turn it was while too many were waiting
        self._requests = 0
        self._agreed: deque[bool] = deque(maxlen=window)

    def takes_next(self) -> bool:
        """Counts a request, and says whether the teacher predicts it too."""
        before = math.floor(self._requests * self.share)
        self._requests += 1
        return math.floor(self._requests * self.share) > before

    def record(self, agreed: Iterable[bool]) -> None:
        """Adds samples."""
        self._agreed.extend(agreed)

    def summary(self) -> dict[str, Any]:
        """Shares in [0, 1]; `agreement` is null without samples, and `is_below` where there is nothing to compare with.

        `is_below` says whether the whole 95 % interval lies below the agreement at export.
        """
        samples, agreed = len(self._agreed), sum(self._agreed)
        low, high = wilson(agreed, samples)
        return {
            "share": self.share,
            "window": self._agreed.maxlen,
            "samples": samples,
            "skipped": self.skipped,
            "agreement": agreed / samples if samples else None,
            "interval": [low, high],
            "agreement_at_export": self.at_export,
            "is_below": high < self.at_export if samples and self.at_export is not None else None,
        }
