"""Files that would fill the memory, or never end, are reported within two seconds."""

import gc
import io
import os
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from arclight.errors import UserError
from arclight.models.weight_files import read_weights
from arclight.reading import read_json, read_rows, read_yaml
from arclight.report import examples
from arclight.report.examples import read_examples
from arclight.training.checkpoint_files import UnreadableCheckpointError
from arclight.training.checkpoint_files import read as read_checkpoint
from arclight_zoo.pixels.decode import LARGEST, read_image
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.reading.classes import LONGEST, numbered, require_short
from tests.safety.large_files import deflated, of_predictions

MOST = 500 * 2**20  # bytes by which the process may grow


def png(width: int, height: int) -> bytes:
    """An image whose header states this size, with almost no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1_000_000)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def tiff(width: int, height: int) -> bytes:
    """The same as a TIFF file; its only strip is missing."""
    rows = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    rows += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, width * height % 2**32)]
    tags = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in rows)
    return struct.pack("<2sHIH", b"II", 42, 8, len(rows)) + tags + b"\0" * 4


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + header


BOMBS = {
    "PNG of 100000x100000": png(100_000, 100_000),
    "PNG of 13000x13000": png(13_000, 13_000),
    "PNG of 2**31 columns": png(2**31 - 1, 1),
    "TIFF of 100000x100000": tiff(100_000, 100_000),
    "BMP of 60000x60000": bmp(60_000, 60_000),
    "PPM of 100000x100000": b"P6 100000 100000 255\n",
    "GIF of 65535x65535": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",",
}


@pytest.fixture
def growth() -> Callable[[], int]:
    """The bytes by which the peak memory of the process has grown."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return lambda: 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_an_absurd_image_is_not_decoded(content: bytes, growth: Callable[[], int]) -> None:
    with pytest.raises(UserError, match=r"^a\.png (has more than|cannot be read)"):
        read_image(content, "a.png")
    assert growth() < MOST


def test_an_image_without_an_end_is_not_read(growth: Callable[[], int]) -> None:
    with pytest.raises(UserError, match=r"cannot be read as an image"):
        read_image(Path("/dev/zero"), "/dev/zero")
    assert growth() < MOST + LARGEST


def test_a_large_photograph_is_read() -> None:
    picture = io.BytesIO()
    Image.new("L", (9000, 9000)).save(picture, "PNG")
    assert read_image(picture.getvalue(), "a.png").size == (9000, 9000)


def _csv(place: Path, name: str) -> None:
    place.mkdir()
    Image.new("L", (8, 8)).save(place / "a.png")
    (place / "metadata.csv").write_text(f"file_name,label\na.png,{name}\n")


def _parquet(place: Path, name: str) -> None:
    import pyarrow
    from pyarrow import parquet

    place.mkdir()
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    image = {"bytes": picture.getvalue(), "path": None}
    table = pyarrow.table({"image": [image] * 4, "label": ["a", "a", name, name]})
    parquet.write_table(table, place / "train.parquet")


def _tar(place: Path, name: str) -> None:
    import tarfile

    place.mkdir()
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    with tarfile.open(place / "train-000000.tar", "w") as shard:
        for suffix, content in ((".png", picture.getvalue()), (".cls", name.encode())):
            member = tarfile.TarInfo(f"a{suffix}")
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("write", [_csv, _parquet, _tar], ids=["csv", "parquet", "tar"])
def test_a_label_of_megabytes_is_no_class(
    tmp_path: Path, write: Callable[[Path, str], None], growth: Callable[[], int]
) -> None:
    write(tmp_path / "data", "x" * 4_000_000)
    column = "image" if write is _parquet else None
    with pytest.raises(UserError, match="has 4,000,000 characters") as raised:
        ImageData(str(tmp_path / "data"), image_column=column).setup("fit")
    assert len(str(raised.value)) < 400
    gc.collect()  # of files that `datasets` leaves open
    assert growth() < MOST


def test_a_name_as_long_as_they_are_is_a_class() -> None:
    require_short(["x" * LONGEST])
    assert numbered({"train": ["a", "x" * LONGEST]})[0][1] == "x" * LONGEST


NAMES = {"no JSON": "[", "deep lists": "[" * 100_000, "a number": "3", "numbers": "[1]"}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_other_class_names_are_reported(tmp_path: Path, names: str) -> None:
    file = tmp_path / "a.parquet"
    of_predictions(names)(file)
    with pytest.raises(UserError, match=r"a\.parquet cannot be read as predictions: "):
        read_examples(file)


def test_many_equal_rows_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, growth: Callable[[], int]
) -> None:
    monkeypatch.setattr(examples, "MOST", 1)
    of_predictions("[]")(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="has 2 rows, and at most 1 are read"):
        read_examples(tmp_path / "a.parquet")


def test_compressed_weights_are_not_read(tmp_path: Path, growth: Callable[[], int]) -> None:
    deflated(tmp_path / "a.pt", megabytes=1)
    with pytest.raises(UserError, match="is a compressed zip file"):
        read_weights(tmp_path / "a.pt", "a.pt")


READERS: dict[str, Callable[[Path], object]] = {
    "YAML": read_yaml,
    "JSON": read_json,
    "rows": read_rows,
    "a checkpoint": read_checkpoint,
    "weights": lambda file: read_weights(file, str(file)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("make", [os.mkfifo, lambda file: file.symlink_to("/dev/zero")])
def test_a_pipe_is_not_read(
    tmp_path: Path, make: Callable[[Path], None], read: Callable[[Path], object]
) -> None:
    make(tmp_path / "a")
    with pytest.raises((UserError, UnreadableCheckpointError)) as raised:
        read(tmp_path / "a")
    assert "a pipe or a device" in f"{raised.value} {raised.value.__cause__}"
