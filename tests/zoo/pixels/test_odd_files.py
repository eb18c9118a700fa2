"""Folders of images as phones, archives and microscopes leave them."""

import os
import shutil
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError
from arclight_zoo.pixels.decode import model_input, read_image
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.questions import image_files

SIZE = 16
CLASSES = ("left", "top")
Save = Callable[[NDArray[np.uint8], Path], None]


def png(pixels: NDArray[np.uint8], file: Path) -> None:
    Image.fromarray(pixels).save(file.with_suffix(".png"))


def as_file(suffix: str, mode: str = "RGB") -> Save:
    return lambda pixels, file: Image.fromarray(pixels).convert(mode).save(file.with_suffix(suffix))


def lab(pixels: NDArray[np.uint8], file: Path) -> None:
    Image.merge("LAB", [Image.fromarray(pixels)] * 3).save(file.with_suffix(".tif"))


def pages(suffix: str, size: int = SIZE) -> Save:
    def save(pixels: NDArray[np.uint8], file: Path) -> None:
        others = [Image.new("RGB", (size, size), colour) for colour in ("red", "blue")]
        first = Image.fromarray(pixels).convert("RGB")
        first.save(file.with_suffix(suffix), save_all=True, append_images=others)

    return save


def wide_png(pixels: NDArray[np.uint8], file: Path, scale: int = 16, colours: int = 3) -> None:
    """16 bits for each of three colours, of which 12 are used."""
    rows = np.stack([pixels.astype(int) * scale] * colours, -1).astype(">u2")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = {2: 4, 3: 2, 4: 6}[colours]

    def chunk(name: bytes, content: bytes) -> bytes:
        whole = name + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", SIZE, SIZE, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    file.with_suffix(".png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def folder_of(place: Path, save: Save = png, splits: tuple[str, ...] = ("train", "val")) -> Path:
    draw = np.random.default_rng(0)
    for split in splits:
        for label in CLASSES:
            (place / split / label).mkdir(parents=True)
            for i in range(4):
                pixels = draw.integers(0, 50, (SIZE, SIZE)).astype(np.uint8)
                half = pixels[:8] if label == "top" else pixels[:, :8]
                half += 200
                save(pixels, place / split / label / f"{i}")
    return place


def opened(place: Path, **given: Any) -> ImageData:
    given = {"image_size": SIZE, "test_fraction": 0.25, "batch_size": 4, **given}
    data = ImageData(str(place), cache=str(place.parent / "cache"), **given)
    data.setup()
    return data


@pytest.mark.parametrize(
    "save",
    [
        *(as_file(s) for s in (".jfif", ".jpe", ".apng", ".ppm", ".jp2", ".PNG", ".avif")),
        *(as_file(s, "1") for s in (".pbm", ".tif", ".bmp")),
        *(as_file(".tif", mode) for mode in ("CMYK", "PA", "YCbCr", "I;16", "LA")),
        *(pages(suffix) for suffix in (".gif", ".png", ".webp", ".tif")),
        *(pages(".tif", SIZE // 2), lab, wide_png),
    ],
)
@pytest.mark.parametrize("channels", [None, 1])
def test_every_kind_of_file_is_read(tmp_path: Path, save: Save, channels: int | None) -> None:
    place = folder_of(tmp_path / "images", save)
    data = opened(place, channels=channels)
    assert sum(data.facts.sizes.values()) == 16
    assert min(data.facts.std) > 0.05
    file = image_files(place / "val")[0]
    assert model_input(file, data.facts).shape == (1, data.facts.channels, SIZE, SIZE)


@pytest.mark.parametrize("colours", [2, 3, 4])
def test_colours_of_16_bits_keep_their_values(tmp_path: Path, colours: int) -> None:
    pixels = np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE)
    wide_png(pixels, tmp_path / "a", 257, colours)
    found = np.asarray(read_image(tmp_path / "a.png", "a"))
    assert found.dtype == np.uint16
    assert found.shape == (SIZE, SIZE, 1 if colours == 2 else 3)
    assert (found == pixels[..., None].astype(int) * 257).all()


def test_colours_with_12_bits_keep_their_shades(tmp_path: Path) -> None:
    assert opened(folder_of(tmp_path / "images", wide_png)).facts.value_range == [0, 4095]


def test_fractions_and_large_integers_have_no_common_scale(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "images", as_file(".tif", "I;16"))
    fractions = np.random.default_rng(1).random((SIZE, SIZE)).astype(np.float32)
    Image.fromarray(fractions).save(place / "train" / "top" / "0.tif")
    with pytest.raises(UserError, match=r"no common scale.* data\.value_range=\[LOW,HIGH\]"):
        opened(place)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "it is a HEIC image: convert it"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "it is a Git LFS pointer"),
        (None, "no such file or directory"),
    ],
)
@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_unreadable_files_say_why(
    tmp_path: Path, content: bytes | None, reason: str, loader: str
) -> None:
    place = folder_of(tmp_path / "images")
    file = place / "train" / "top" / "3.png"
    file.unlink()
    if content is None:
        file.symlink_to(tmp_path / "nowhere.png")
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"3\.png cannot be read as an image \({reason}"):
        opened(place, loader=loader)
    data = opened(place, loader=loader, on_error="skip")
    assert data.facts.skipped == {"train": 1}


@pytest.mark.parametrize("suffix", [".heic", ".txt", ".db", ".xml"])
def test_files_that_are_not_read_are_counted(tmp_path: Path, suffix: str) -> None:
    place = folder_of(tmp_path / "images")
    for name in ("a", "b"):
        (place / "train" / "top" / f"{name}{suffix}").write_bytes(b"x")
    (place / "train" / "top" / "._0.png").write_bytes(b"x")  # macOS, hidden
    (note,) = [note for note in opened(place).notes if "Left out" in note]
    assert "Left out 2 files" in note
    assert suffix in note


@pytest.mark.parametrize("suffix", [".heic", ".xyz", ".doc"])
def test_a_folder_without_readable_files_names_their_kind(tmp_path: Path, suffix: str) -> None:
    place = folder_of(tmp_path / "images")
    for file in place.rglob("*.png"):
        file.rename(file.with_suffix(suffix))
    with pytest.raises(UserError, match=rf"holds only \{suffix} files"):
        opened(place)


@pytest.mark.parametrize(
    "name",
    [
        *("new\nline.png", "quo'te\".png", "com,ma;.png", "=1+1.png", " .png", "名前.png"),
        *(os.fsdecode(b"\xff\xfe.png"), unicodedata.normalize("NFD", "é.png")),
    ],
)
def test_any_file_name(tmp_path: Path, name: str) -> None:
    place = folder_of(tmp_path / "images")
    (place / "train" / "top" / "0.png").rename(place / "train" / "top" / name)
    assert sum(opened(place).facts.sizes.values()) == 16


def test_composed_and_decomposed_class_names_are_equal(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "images")
    for split, form in (("train", "NFC"), ("val", "NFD")):
        new = unicodedata.normalize(form, "café")  # type: ignore[arg-type]
        (place / split / "left").rename(place / split / new)
    assert opened(place).facts.class_names == ["café", "top"]


@pytest.mark.parametrize("split", ["val", "test", "train"])
def test_a_split_without_class_folders_is_reported(tmp_path: Path, split: str) -> None:
    place = folder_of(tmp_path / "images", splits=("train", "val", "test"))
    for file in list((place / split).rglob("*.png")):
        file.rename(place / split / f"{file.parent.name}{file.name}")
    for label in CLASSES:
        shutil.rmtree(place / split / label)
    with pytest.raises(UserError, match=rf"{split} has images but no class folders") as said:
        opened(place)
    assert (f"data.{split}_split=NAME" in str(said.value)) == (split != "train")
    if split == "test":  # the others may still be used
        assert opened(place, test_split="val").facts.sizes["test"] == 8


def test_evaluation_splits_alone_are_no_classes(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "images", splits=("val", "test"))
    with pytest.raises(UserError, match=r"is named train: type data\.train_split=NAME"):
        opened(place)
    assert opened(place, train_split="val").facts.class_names == list(CLASSES)


def test_hidden_files_are_not_predicted_on(tmp_path: Path) -> None:
    png(np.zeros((2, 2), np.uint8), tmp_path / "a")
    for name in ("._a.png", ".cache/b.png", "notes.txt", "c.heic", "d.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in image_files(tmp_path)] == ["a.png", "c.heic", "d.JPG"]
