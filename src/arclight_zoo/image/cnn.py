"""A plain convolutional network: convolutions, global average pooling, one linear layer."""

from collections.abc import Sequence

from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Count
from arclight_zoo.pixels.fit import residual_for, widths_for


class CNN(nn.Module):
    """A 3x3 convolution, batch norm and ReLU for each width, with max pooling between them.

    Global average pooling (Lin et al., 2014) follows, so images may have any size of at least
    `2 ** (len(widths) - 1)` pixels per side (`2 ** len(widths)` with `residual`). Batch norm:
    Ioffe & Szegedy (2015).

    Args:
        num_classes: number of logits.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of each convolution; the number of widths is the depth. None: 64, 128,
            256; for images above 32 pixels 32, 64, 128, 256, so that a step is not slower.
        residual: add a residual block of two convolutions (He et al., 2016) after each width from
            the third on, and also halve the image after the last width. None: for images above 32
            pixels if `widths` is None too.
        image_size: pixels per side; decides `widths` and `residual` if they are None.

    Raises:
        UserError: `widths` is empty, or (in `forward`) an image is too small for the depth.
    """

    def __init__(
        self,
        num_classes: Count = 10,
        *,
        in_channels: Count = 3,
        widths: Sequence[Count] | None = None,
        residual: bool | None = False,
        image_size: Count | None = None,
    ) -> None:
        super().__init__()
        if residual is None:
            residual = widths is None and residual_for(image_size)
        if widths is None:
            widths = widths_for(image_size)
        if not widths:
            raise UserError("model.widths is empty: type model.widths=[64,128,256], for example.")
        self.widths, self.residual = list(widths), residual
        halved = len(widths) if residual else len(widths) - 1
        self.min_size = 2**halved
        layers: list[nn.Module] = []
        for i, (before, width) in enumerate(zip([in_channels, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, width, kernel_size=3, padding=1), nn.BatchNorm2d(width)]
            # Pool before ReLU: the two commute, and ReLU then has a quarter of the work.
            if i < halved:
                layers.append(nn.MaxPool2d(2))
            layers.append(nn.ReLU(inplace=True))
            if residual and i >= 2:
                layers.append(Residual(width))
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


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, added to what goes in (He et al., 2016).

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, width, height, width)` to the same shape."""
        added: Tensor = x + self.layers(x)
        return added
