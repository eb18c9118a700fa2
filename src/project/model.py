"""The model: a plain `nn.Module` that knows nothing of the other files."""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Squeezes an image through a few numbers, so that noise, which does not fit, is lost.

    Args:
        pixels: of an image. The config leaves it null: it comes from the data's facts.
        width: of the hidden layers.
        code: how many numbers the image is squeezed into.
    """

    def __init__(self, pixels: int, width: int = 256, code: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, width), nn.GELU(), nn.Linear(width, code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.GELU(), nn.Linear(width, pixels))

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, pixels)` to images of the same shape."""
        cleaned: Tensor = self.decoder(self.encoder(images))
        return cleaned
