"""Scientific images: more than 8 bits, floats, arrays, pages and bands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.decode import model_input
from arclight_zoo.pixels.depth import span_of
from arclight_zoo.pixels.image_data import ImageData
from tests.conftest import Composed

SIZE = 16


def shades(number: int, top: bool) -> NDArray[np.int64]:
    """Dark noise with one bright half, 0 to 255."""
    pixels = np.random.default_rng(number).integers(0, 50, (SIZE, SIZE))
    pixels[0, 0], pixels[-1, -1] = 0, 255
    half = pixels[:8] if top else pixels[:, :8]
    half += np.minimum(160, 255 - half)
    return pixels


def tiff(stored: NDArray[Any], file: Path) -> None:
    Image.fromarray(stored).save(file.with_suffix(".tif"))


def png(stored: NDArray[Any], file: Path) -> None:
    Image.fromarray(stored).save(file.with_suffix(".png"))


def pages(stored: NDArray[Any], file: Path) -> None:
    first, *rest = (Image.fromarray(page) for page in np.moveaxis(stored, -1, 0))
    first.save(file.with_suffix(".tif"), save_all=True, append_images=rest)


def npy(stored: NDArray[Any], file: Path) -> None:
    np.save(file.with_suffix(".npy"), stored)


def bands(p: NDArray[np.int64], n: int) -> NDArray[np.uint16]:
    return np.stack([p * 16 + i for i in range(n)], -1).astype(np.uint16)


KINDS: dict[str, tuple[Any, Any, list[float], int]] = {
    "float 0 to 1": (lambda p: (p / 255).astype(np.float32), tiff, [0, 1], 1),
    "float of any range": (lambda p: (p * 3.0 - 100).astype(np.float32), tiff, [-100, 665], 1),
    "int32 as 8 bits": (lambda p: p.astype(np.int32), tiff, [0, 255], 1),
    "int32 of a scanner": (lambda p: (p * 8 - 1000).astype(np.int32), tiff, [-1000, 1040], 1),
    "10 bits": (lambda p: (p * 4).astype(np.uint16), png, [0, 1023], 1),
    "12 bits": (lambda p: (p * 16).astype(np.uint16), png, [0, 4095], 1),
    "16 bits": (lambda p: (p * 257).astype(np.uint16), png, [0, 65535], 1),
    "pages": (lambda p: bands(p, 5), pages, [0, 4095], 5),
    "array": (lambda p: bands(p, 4), npy, [0, 4095], 4),
    "channels first": (lambda p: np.moveaxis(bands(p, 2), -1, 0), npy, [0, 4095], 2),
    "half floats": (lambda p: (p / 255).astype(np.float16)[..., None], npy, [0, 1], 1),
    "8 bits, 6 bands": (lambda p: np.stack([p] * 6, -1).astype(np.uint8), npy, [], 6),
    "8 bits, colours": (lambda p: np.stack([p] * 3, -1).astype(np.uint8), npy, [], 3),
}


def folder_of(place: Path, kind: str, each: int = 6) -> Path:
    as_stored, save, _, _ = KINDS[kind]
    for split, count in (("train", each), ("val", 2), ("test", 3)):  # no two alike
        for top in (True, False):
            folder = place / split / ("top" if top else "left")
            folder.mkdir(parents=True)
            for i in range(count):
                save(as_stored(shades(i + 100 * count, top)), folder / f"{i}")
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_every_depth_has_all_its_shades(tmp_path: Path, kind: str) -> None:
    data = ImageData(str(folder_of(tmp_path, kind)), cache=str(tmp_path / "cache"))
    data.setup()
    _, _, span, channels = KINDS[kind]
    assert data.facts.value_range == pytest.approx(span)
    assert data.facts.channels == channels
    assert len(data.notes) == bool(span)
    images, _ = next(iter(data.val_dataloader()))
    mean, std = (torch.tensor(v)[:, None, None] for v in (data.facts.mean, data.facts.std))
    found = (images * std + mean) * 255
    expected = torch.from_numpy(
        np.stack([shades(i + 200, t) for t in (False, True) for i in (0, 1)])
    )
    assert (found - expected[:, None]).abs().max() <= 1.01
    file = sorted((tmp_path / "val" / "left").iterdir())[0]
    torch.testing.assert_close(model_input(file, data.facts)[0], images[0])


def test_workers_crop_arrays_and_deep_images(tmp_path: Path) -> None:
    for kind in ("array", "12 bits", "pages", "float of any range"):
        place = tmp_path / kind
        data = ImageData(
            str(folder_of(place, kind)),
            image_size=SIZE,
            augment=Augment(resized_crop=1.0),
            batch_size=12,
            cache=str(tmp_path / "cache"),
        )
        data.setup()
        images, _ = next(iter(data.train_dataloader()))
        assert images.shape == (12, KINDS[kind][3], SIZE, SIZE)
        assert images.std() > 0.5


def test_the_range_may_be_given(tmp_path: Path) -> None:
    place = folder_of(tmp_path, "12 bits")
    data = ImageData(str(place), value_range=[0, 65535], cache=str(tmp_path / "cache"))
    data.setup()
    assert data.facts.value_range == [0, 65535]
    assert max(data.facts.mean) < 1 / 16
    with pytest.raises(UserError, match=r"data.value_range=\[3, 1\] should be two numbers"):
        ImageData(str(place), value_range=[3, 1])


@pytest.mark.parametrize(
    ("lowest", "highest", "whole", "span"),
    [
        (0, 255, True, (0, 255)),
        (3, 256, True, (0, 1023)),
        (0, 16000, True, (0, 16383)),
        (0, 1e6, True, (0, 1e6)),
        (-5, 200, True, (-5, 200)),
        (0.2, 0.9, False, (0, 1)),
        (-0.1, 0.9, False, (-0.1, 0.9)),
        (0, 255, False, (0, 255)),
    ],
)
def test_the_range_of_values(
    lowest: float, highest: float, whole: bool, span: tuple[float, float]
) -> None:
    assert span_of(lowest, highest, whole) == span


def nan(p: NDArray[np.int64]) -> NDArray[np.float32]:
    floats = (p / 255).astype(np.float32)
    floats[3, 3] = np.nan
    return floats


@pytest.mark.parametrize(
    ("stored", "save", "sentence"),
    [
        (nan, tiff, "not numbers"),
        (nan, npy, "not numbers"),
        (lambda p: np.array(["a"]), npy, "cannot be read as an image"),
        (lambda p: p[0], npy, "cannot be read as an image"),
        (lambda p: p + 1j, npy, "cannot be read as an image"),
        (
            lambda p: np.stack([p] * 7, -1).astype(np.uint8),
            npy,
            "An image of 7 channels cannot become one of 1",
        ),
        (lambda p: p.astype(np.float32) * 2, tiff, "data.value_range"),
    ],
)
def test_invalid_arrays_are_rejected(tmp_path: Path, stored: Any, save: Any, sentence: str) -> None:
    data = ImageData("sklearn:digits", channels=1, cache=str(tmp_path / "cache"))
    data.setup()
    save(stored(shades(0, True)), tmp_path / "it")
    (file,) = tmp_path.glob("it.*")
    with pytest.raises(UserError, match=sentence):
        model_input(file, data.facts)


def test_images_of_one_colour_are_reported(tmp_path: Path) -> None:
    place = folder_of(tmp_path, "8 bits, colours")
    grey = np.full((SIZE, SIZE, 3), 9, np.uint8)
    for i in range(3):
        npy(grey, place / "train" / "top" / f"{i}")
    data = ImageData(str(place), cache=str(tmp_path / "cache"))
    data.setup()
    assert data.notes == ["25.0% of the training images have a single colour."]
    for file in place.rglob("*.npy"):
        np.save(file, grey)
    with pytest.raises(UserError, match="nothing to learn: check"):
        ImageData(str(place), cache=str(tmp_path / "cache")).setup()


@pytest.mark.parametrize("names", ["{}_images {}_labels", "x_{} y_{}"])
def test_a_file_of_arrays(tmp_path: Path, names: str) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for split, n in (("train", 20), ("test", 6)):
        x, y = names.format(split, split).split()
        arrays[x] = np.stack([shades(i, i % 2 == 0) for i in range(n)]).astype(np.uint8)
        arrays[y] = (np.arange(n) % 2)[:, None]
    np.savez(tmp_path / "set.npz", **arrays)
    data = ImageData(str(tmp_path / "set.npz"), val_fraction=0.2, cache=str(tmp_path / "cache"))
    data.setup()
    assert data.facts.sizes == {"train": 16, "val": 4, "test": 6}
    assert data.facts.class_names == ["0", "1"]
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="holds the arrays a: name them train_images"):
        ImageData(str(tmp_path / "other.npz")).setup()
    (tmp_path / "bad.npz").write_text("text")
    with pytest.raises(UserError, match=r"bad.npz cannot be read as arrays"):
        ImageData(str(tmp_path / "bad.npz")).setup()


def test_a_model_of_five_bands_trains(composed: Composed, tmp_path: Path) -> None:
    place = folder_of(tmp_path / "data", "pages", each=8)
    config = composed(
        "data=image_folder",
        f"data.path={place}",
        "data.image_size=16",
        "data.augment.flip=false",
        "data.batch_size=8",
        "model.widths=[8,8,8]",
        "trainer.max_epochs=1",
        "preflight=false",
        f"runs={tmp_path}",
    )
    run = create(tmp_path / "run", tmp_path, "cnn", config, [], {})
    assert execute(run) == 0
    kept = json.loads((run.path / "manifest.json").read_text())["data"]
    assert kept["value_range"] == [0, 4095]
    assert kept["channels"] == 5
