"""A generator of images and the discriminator that it learns from."""

from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Count, Pixels


class Generator(nn.Module):
    """Noise to images, as DCGAN's (Radford et al., 2016), with nearest upsampling.

    Args:
        latent: numbers of noise that an image is made of.
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
        """Normal numbers `(batch, latent)` to images `(batch, channels, size, size)`, -1 to 1."""
        images: Tensor = self.layers(noise)
        return images


class Discriminator(nn.Module):
    """Images to how real they look.

    Args:
        in_channels: of the images.
        image_size: height and width; a multiple of 4.
        width: channels of the first layer; twice as many behind it.
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

    What is called, exported and asked is the generator.

    Args:
        latent: numbers of noise that an image is made of.
        in_channels: of the images; the config leaves it null: it comes from the data.
        image_size: likewise.
        width: channels of the layers next to the images; twice as many behind them.

    Raises:
        UserError: the image's size is no multiple of 4.
    """

    def __init__(
        self, latent: Count, in_channels: Count, image_size: Pixels, width: Count = 64
    ) -> None:
        super().__init__()
        if image_size % 4:
            near = max(4, 4 * round(image_size / 4))
            raise UserError(
                f"The GAN makes images of a multiple of 4 pixels per side, and these have "
                f"{image_size}: type data.image_size={near}."
            )
        self.latent = latent
        self.generator = Generator(latent, in_channels, image_size, width)
        self.discriminator = Discriminator(in_channels, image_size, width)

    def forward(self, noise: Tensor) -> Tensor:
        """Normal numbers `(batch, latent)` to images `(batch, channels, size, size)`, -1 to 1."""
        images: Tensor = self.generator(noise)
        return images
