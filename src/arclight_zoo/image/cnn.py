"""A plain convolutional network: a few convolutions, one mean over space, one linear layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Count


class CNN(nn.Module):
    """3x3 convolution, batch norm and ReLU for each width, halving the image between them.

    Global average pooling (Lin et al., 2014) ends it, so that any image of at least
    `2 ** (len(widths) - 1)` pixels a side will do. Batch norm: Ioffe & Szegedy (2015).

    Args:
        num_classes: how many logits.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of each convolution; the number of widths is the depth. None: 64, 128,
            256; above 32 pixels one more, and from 32 on, so that a step costs no more.
        image_size: pixels a side, by which `widths` are chosen.

    Raises:
        UserError: `widths` is empty, or (in `forward`) an image is too small for the depth.
    """

    def __init__(
        self,
        num_classes: Count = 10,
        *,
        in_channels: Count = 3,
        widths: Sequence[Count] | None = None,
        image_size: Count | None = None,
    ) -> None:
        super().__init__()
        if widths is None:
            widths = (64, 128, 256) if (image_size or 0) <= 32 else (32, 64, 128, 256)
        if not widths:
            raise UserError("model.widths is empty: type model.widths=[64,128,256], for example.")
        self.min_size = 2 ** (len(widths) - 1)
        layers: list[nn.Module] = []
        for i, (before, width) in enumerate(zip([in_channels, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, width, kernel_size=3, padding=1), nn.BatchNorm2d(width)]
            # The largest of what ReLU leaves is what ReLU leaves of the largest, of which there are
            # a quarter as many.
            if i < len(widths) - 1:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.ReLU(inplace=True))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(widths[-1], num_classes)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Images `(batch, in_channels, height, width)` to logits `(batch, num_classes)`."""
        height, width = x.shape[-2:]
        if min(height, width) < self.min_size:
            raise UserError(
                f"An image of {height}x{width} is too small for a CNN that halves it down from "
                f"{self.min_size}x{self.min_size}: type data.image_size={self.min_size}, "
                "or give model.widths fewer numbers."
            )
        # flatten, not view: it also takes the channels_last memory format
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits
