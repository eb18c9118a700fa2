"""All kinds of image files are preprocessed equally in evaluation and prediction."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image

from arclight.data.facts import read_facts
from arclight.errors import UserError
from arclight_zoo.pixels.decode import Shape, model_input, read_image, to_channels
from arclight_zoo.pixels.depth import channels_of
from arclight_zoo.pixels.image_facts import ImageFacts
from tests.pictures import picture


def facts(channels: int) -> ImageFacts:
    return ImageFacts(
        num_classes=2,
        class_names=["a", "b"],
        image_size=8,
        channels=channels,
        mean=[0.5] * channels,
        std=[0.25] * channels,
        sizes={},
        fingerprint="",
    )


GREY, COLOUR = facts(1), facts(3)


def stored(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_prediction_preprocesses_as_evaluation(tmp_path: Path) -> None:
    picture(0, (8, 8)).save(tmp_path / "a.png")
    x = model_input(tmp_path / "a.png", COLOUR)
    expected = torch.tensor(np.asarray(picture(0, (8, 8)))).permute(2, 0, 1) / 255
    torch.testing.assert_close(x, ((expected - 0.5) / 0.25)[None])
    assert model_input(stored(picture(0, (30, 20))), GREY).shape == (1, 1, 8, 8)


def test_the_centre_is_kept() -> None:
    pixels = np.zeros((10, 30), dtype=np.uint8)
    pixels[:, 10:20] = 200
    assert (Shape(1, 5).pixels(Image.fromarray(pixels))[0, :, 1:-1] == 200).all()


@pytest.mark.parametrize("crop", [0.875, 0.9, 1.0])
@pytest.mark.parametrize("size", [(500, 375), (375, 501), (640, 427), (101, 90), (224, 224)])
def test_evaluation_matches_torchvision(size: tuple[int, int], crop: float) -> None:
    """Up to rounding: a few pixels differ by one or two of 255."""
    image = picture(0, size)
    for like in (image, tv.pil_to_tensor(image)):  # torchvision's own two ways differ as much
        resized = tv.resize(like, [int(224 / crop)], antialias=True)
        expected = tv.to_image(tv.center_crop(resized, [224, 224])).numpy()
        found = Shape(3, 224, resize=size != (224, 224), crop=crop).pixels(image)
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 2
        assert difference.mean() < 0.05


def test_prediction_crops_as_evaluation_does(tmp_path: Path) -> None:
    picture(0, (30, 20)).save(tmp_path / "a.png")
    found = model_input(tmp_path / "a.png", replace(COLOUR, eval_crop=0.5))
    pixels = Shape(3, 8, crop=0.5).pixels(picture(0, (30, 20)))
    torch.testing.assert_close(found, (torch.from_numpy(pixels)[None] / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode(mode: str, channels: int) -> None:
    image = picture(1, (8, 8), "L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    kind = "tiff" if mode == "CMYK" else "png"
    read = read_image(stored(image, kind), "it")
    pixels = Shape(channels, 8).pixels(read)
    assert pixels.shape == (channels, 8, 8)
    assert pixels.dtype == np.uint8
    assert channels_of(read) == (1 if mode in ("1", "L", "LA", "I;16") else 3)
    if mode != "1":
        expected = np.asarray(picture(1, (8, 8), "L")).astype(int)
        assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_a_palette_with_transparency() -> None:
    image = picture(2, (8, 8)).convert("P")
    read = read_image(stored(image, "png", transparency=b"\x00" * 256), "it")
    assert to_channels(read, 3).mode == "RGB"


def test_exif_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = read_image(stored(picture(3, (20, 10)), "jpeg", exif=exif), "it")
    assert image.size == (10, 20)


def test_files_that_are_not_images_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    for encoded, name in (
        (tmp_path / "a.png", str(tmp_path / "a.png")),
        (tmp_path / "none.png", str(tmp_path / "none.png")),
        (b"text", "The image"),
    ):
        with pytest.raises(UserError, match=f"^{name} cannot be read as an image.*: replace or"):
            model_input(encoded, GREY)


def test_facts_survive_json() -> None:
    assert read_facts(GREY.to_dict()) == GREY
