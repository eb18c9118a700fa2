"""A student: a network with one hidden layer."""

from torch import Tensor, nn

from arclight.ranges import Count, Pixels


class Student(nn.Module):
    """An MLP on all pixels with one hidden layer.

    Args:
        num_classes: number of logits; null in the config: from the data.
        in_channels: of the images; null in the config: from the data.
        image_size: height and width; null in the config: from the data.
        hidden: width of the hidden layer.
    """

    def __init__(
        self, num_classes: Count, in_channels: Count, image_size: Pixels, hidden: Count = 32
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(in_channels * image_size**2, hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, channels, size, size)` to logits `(batch, num_classes)`."""
        logits: Tensor = self.head(self.body(images))
        return logits
