"""Image files as inputs: decoded by Pillow, and resized as evaluation resizes the images of the run's data."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from kdlab.errors import BadInput
from kdlab.serving.artifact import Artifact
from kdlab.serving.model import Rows, Signature
from kdlab.serving.refusals import Refused, bad_request

FORMATS = ("PNG", "JPEG", "WEBP")
MODES = {1: "L", 3: "RGB"}  # by number of channels
CROPPING = "ImageFolder"  # the data whose evaluation crops
MAY_CROP = (CROPPING, "Transfer")
CROP_FRACTION = 0.875  # by default, of `CROPPING`


@dataclass(frozen=True)
class Images:
    """Turns an image file into the input of a model.

    Args:
        height: in pixels.
        width: in pixels.
        mode: of Pillow: `RGB` or `L`.
        crop_fraction: None resizes the whole image, as data in memory are; otherwise the shorter side is resized to the
            model's divided by this, and the centre is cropped, as `ImageFolder` does in evaluation.
        max_pixels: of an image, before it is decoded.
    """

    height: int
    width: int
    mode: str
    crop_fraction: float | None
    max_pixels: int

    @classmethod
    def of(
        cls, artifact: Artifact, signature: Signature, crop_fraction: float | None, max_megapixels: float
    ) -> "Images | None":
        """For a model that takes raw images; None for one that takes something else.

        Raises:
            BadInput: the settings of the data are needed, and not at hand.
        """
        if signature.datatype != "UINT8" or len(signature.shape) != 3 or signature.shape[0] not in MODES:
            return None
        channels, height, width = signature.shape
        crop = crop_fraction if crop_fraction is not None else _crop_fraction(artifact.data, signature.data)
        return cls(height, width, MODES[channels], crop, int(max_megapixels * 1e6))

    def rows(self, content: bytes) -> Rows:
        """One image as inputs `(1, channels, height, width)`, uint8.

        Raises:
            Refused: it is no image, a damaged one, or too large.
        """
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            self._check_size(image)
            pixels = np.asarray(self._resized(image.convert(self.mode)), np.uint8)
        except Refused:
            raise
        except Image.DecompressionBombError as error:
            raise self._too_large("more pixels than Pillow opens") from error
        except Exception as error:  # of decoders, which raise anything at damaged files
            kinds = ", ".join(FORMATS)
            reason = "" if isinstance(error, UnidentifiedImageError) else f": {str(error).splitlines()[:1]}"
            raise bad_request(f"the body is no readable image ({kinds}){reason[:120]}") from error
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(planes[None])

    def _check_size(self, image: Image.Image) -> None:
        if image.width * image.height > self.max_pixels:
            raise self._too_large(f"{image.width} x {image.height} pixels")

    def _too_large(self, found: str) -> Refused:
        return Refused(413, "too_large", f"an image may have {self.max_pixels / 1e6:g} megapixels, got {found}")

    def _resized(self, image: Image.Image) -> Image.Image:
        if self.crop_fraction is None:
            return image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        shorter = round(min(self.height, self.width) / self.crop_fraction)
        sides = [int(shorter * side / min(image.size)) for side in image.size]
        larger = image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
        left, top = round((sides[0] - self.width) / 2), round((sides[1] - self.height) / 2)
        return larger.crop((left, top, left + self.width, top + self.height))


def _crop_fraction(settings: Mapping[str, Any], name: str) -> float | None:
    """As evaluation crops; None for data that are resized as a whole.

    Args:
        settings: of the data; empty where the export was copied without its store.
        name: of the data's class, as the artifact has it.
    """
    settings = settings.get("of", settings)  # of the labelled data, where the student learned on a transfer set
    if settings:
        is_cropped = str(settings.get("_target_", "")).endswith(f".{CROPPING}")
        return float(settings.get("crop_fraction", CROP_FRACTION)) if is_cropped else None
    if name in MAY_CROP:
        raise BadInput(
            "serve.crop_fraction must be given: how images were cropped is in the store of the run, and this export "
            f"was copied without it. It is {CROP_FRACTION} for data=image_folder unless data.crop_fraction was set."
        )
    return None
