"""A generator and a discriminator of images."""

from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Count, Pixels


class Generator(nn.Module):
    """DCGAN's generator (Radford et al., 2016), with nearest-neighbour upsampling.

    Args:
        latent: dimension of the noise.
        in_channels: of the images.
        image_size: height and width; a multiple of 4.
        width: channels of the last hidden layer; twice as many before it.
    """

    def __init__(self, latent: int, in_channels: int, image_size: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, 2 * width * (image_size // 4) ** 2),
            nn.Unflatten(1, (2 * width, image_size // 4, image_size // 4)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, in_channels, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        """Noise `(batch, latent)` to images `(batch, channels, size, size)` in -1 to 1."""
        images: Tensor = self.layers(noise)
        return images


class Discriminator(nn.Module):
    """Classifies images as real or generated.

    Args:
        in_channels: of the images.
        image_size: height and width; a multiple of 4.
        width: channels of the first layer; the second has twice as many.
    """

    def __init__(self, in_channels: int, image_size: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * width * (image_size // 4) ** 2, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, channels, size, size)` to logits `(batch,)`."""
        logits: Tensor = self.layers(images)
        return logits.squeeze(1)


class GAN(nn.Module):
    """A generator and a discriminator of images (Goodfellow et al., 2014).

    Forward, export and prediction use the generator.

    Args:
        latent: dimension of the noise.
        in_channels: of the images; null in the config: from the data.
        image_size: height and width; null in the config: from the data.
        width: channels of the layers next to the images; the inner ones have twice as many.

    Raises:
        UserError: the image size is not a multiple of 4.
    """

    def __init__(
        self, latent: Count, in_channels: Count, image_size: Pixels, width: Count = 64
    ) -> None:
        super().__init__()
        if image_size % 4:
            near = max(4, 4 * round(image_size / 4))
            raise UserError(
                f"The GAN needs an image size that is a multiple of 4, but these images have "
                f"{image_size} pixels per side: type data.image_size={near}."
            )
        self.latent = latent
        self.generator = Generator(latent, in_channels, image_size, width)
        self.discriminator = Discriminator(in_channels, image_size, width)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise `(batch, latent)` to images `(batch, channels, size, size)` in -1 to 1."""
        images: Tensor = self.generator(noise)
        return images
