"""The model: a plain `nn.Module` that does not depend on the other files."""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Encodes an image in a few numbers and decodes it again, which removes noise.

    Args:
        pixels: of an image. Null in the config: from the data's facts.
        width: of the hidden layers.
        code: size of the bottleneck.
    """

    def __init__(self, pixels: int, width: int = 256, code: int = 64) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, width), nn.GELU(), nn.Linear(width, code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.GELU(), nn.Linear(width, pixels))

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, pixels)` to images of the same shape."""
        cleaned: Tensor = self.decoder(self.encoder(images))
        return cleaned
