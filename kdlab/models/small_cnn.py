"""A small convolutional network without residuals: a student of another family."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput


class SmallCNN(nn.Module):
    """Two convolutions and a hidden layer: a student of another family, for small images.

    Args:
        num_classes: logits.
        widths: channels of both convolutions, and units of the hidden layer.
        image_size: side of the square image, in pixels, at least 4.
        dropout: probability in [0, 1] before the last layer.
        in_channels: channels of the image.

    Raises:
        BadInput: not three widths; in the forward pass, images of another size.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (32, 64, 128),
        image_size: int = 32,
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != 3 or min(widths) < 1:
            raise BadInput(f"kwargs.widths: two convolutions and a hidden layer need three numbers, got {list(widths)}")
        first, second, hidden = widths
        self.image_size = image_size
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.hidden = nn.Linear(second * (image_size // 4) ** 2, hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise BadInput(
                f"kwargs.image_size: small_cnn was built for {self.image_size}x{self.image_size} images, got "
                f"{images.shape[-2]}x{images.shape[-1]}; set kwargs.image_size={images.shape[-1]}, or "
                f"image_size={self.image_size} to resize them"
            )
        features = self.pool1(self.relu1(self.conv1(images)))
        features = self.pool2(self.relu2(self.conv2(features)))
        logits: Tensor = self.fc(self.dropout(F.relu(self.hidden(features.flatten(1)))))
        return logits
