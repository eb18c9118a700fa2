"""Random crops have torchvision's pixels for every image format and decoder."""

import io
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from arclight.data.order import random_table
from arclight.errors import UserError
from arclight_zoo.pixels.crops import RandomCrop
from arclight_zoo.pixels.decode import Shape, read_image, to_channels
from tests.pictures import picture

DRAWN = random_table(0, 0, 8)[:, :4].tolist()


@cache
def photographs() -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def stored(image: Image.Image, kind: str = "jpeg", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cropped(file: bytes, crop: RandomCrop) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = read_image(file, "it", take=crop)
    return pixels


def of_torchvision(image: Image.Image, crop: RandomCrop, by: int = 1) -> NDArray[np.uint8]:
    """The crop by torchvision; the window's edges are multiples of `by` pixels."""
    w, h = crop._window(*image.size)
    width, height = -(-image.width // by), -(-image.height // by)
    w, h = round(w * width / image.width), round(h * height / image.height)
    left, top = int(crop.u[2] * (width - w + 1)), int(crop.u[3] * (height - h + 1))
    pixels = np.array(to_channels(image, crop.shape.channels))
    pixels = pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
    box = [side * by for side in (top, left, h, w)]
    size = list(crop.shape.sides)
    return tv.resized_crop(torch.from_numpy(pixels), *box, size, antialias=True).numpy()


JPEGS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "coarse": {"quality": 30},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_crops_match_torchvision_bitwise(kind: str, mode: str) -> None:
    for photograph, size in product(photographs(), ((500, 375), (333, 401))):
        file = stored(photograph.resize(size).convert(mode), **JPEGS[kind])
        image = read_image(file, "it")
        for u in DRAWN:
            crop = RandomCrop(Shape(len(mode), 224), 0.08, True, u)
            assert np.array_equal(cropped(file, crop), of_torchvision(image, crop))


SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6
STORED: dict[str, tuple[str, dict[str, Any]]] = {
    "RGB": ("png", {}),
    "RGBA": ("png", {}),
    "LA": ("png", {}),
    "P": ("png", {"transparency": b"\x00" * 256}),
    "1": ("png", {}),
    "L": ("jpeg", {}),
    "CMYK": ("jpeg", {}),
    "YCbCr": ("jpeg", {"exif": SIDEWAYS}),
}


@pytest.mark.parametrize("mode", STORED)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_file_can_be_cropped(mode: str, channels: int) -> None:
    kind, options = STORED[mode]
    file = stored(picture(1, (60, 40)).convert(mode), kind, **options)
    image = read_image(file, "it")
    assert image.size == ((40, 60) if "exif" in options else (60, 40))
    for u in DRAWN:
        crop = RandomCrop(Shape(channels, 16), 0.2, False, u)
        assert np.array_equal(cropped(file, crop), of_torchvision(image, crop))


@pytest.mark.parametrize("size", [32, 48, 64])
def test_a_decoder_that_scales_changes_shades_a_little(size: int) -> None:
    """By less than 2 of 255 on average, for detailed photographs."""
    scales = set()
    for photograph, kind, u in product(photographs(), ("4:4:4", "4:2:0"), DRAWN):
        file = stored(photograph, quality=90, **JPEGS[kind])
        exact, scaled = (RandomCrop(Shape(3, size), 0.08, s, u) for s in (False, True))
        by = exact._scale(min(exact._window(*photograph.size)))
        image = read_image(file, "it")
        assert np.array_equal(cropped(file, exact), of_torchvision(image, exact))
        difference = cropped(file, scaled).astype(int) - of_torchvision(image, scaled, by)
        assert np.abs(difference).mean() < (2 if by > 1 else 1e-9)
        scales.add(by)
    assert 2 in scales


def test_truncated_jpegs_are_rejected() -> None:
    file = stored(photographs()[0])
    crop = RandomCrop(Shape(3, 32), 0.2, True, DRAWN[0])
    for damaged in (file[: len(file) // 2], file[:300], b""):
        with pytest.raises(UserError, match=r"^it cannot be read as an image.*: replace or remove"):
            cropped(damaged, crop)


def test_damaged_jpegs_that_pillow_reads_are_used(capfd: pytest.CaptureFixture[str]) -> None:
    file = bytearray(stored(photographs()[0]))
    middle = len(file) // 2
    file[middle : middle + 40] = bytes(40)
    crop = RandomCrop(Shape(3, 32), 0.2, False, DRAWN[0])
    image = read_image(bytes(file), "it")
    assert np.array_equal(cropped(bytes(file), crop), of_torchvision(image, crop))
    assert capfd.readouterr() == ("", "")
