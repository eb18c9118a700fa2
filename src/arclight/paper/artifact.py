"""`artifact.zip`: all files needed to rebuild a paper without training; no weights."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from arclight.errors import UserError
from arclight.paper.judge import LOOKS
from arclight.paper.record import EVIDENCE, FILE, Record, read_record, write_record

NAME = "artifact.zip"
OF_A_RUN = (
    *("config.yaml", "overrides.yaml", "manifest.json", "summary.json", "metrics.csv"),
    "predictions.parquet",
)
OF_A_SEARCH = ("search.yaml", "trials.csv", "best.yaml", "report.md")
MAX_SIZE = 4 * 2**30  # bytes of the unpacked content
MAX_RATIO = 200  # ratio of unpacked to compressed size
EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, so equal content gives an equal file


def pack(folder: Path, record: Record, target: Path) -> Path:
    """Writes the archive, including runs given as evidence."""
    files: dict[str, Path] = {}
    entries = []
    for number, entry in enumerate(record.entries):
        if entry.path is not None:
            source = folder / entry.path
            name = entry.path if entry.source != EVIDENCE else f"{EVIDENCE}/{number:04d}"
            for file in OF_A_RUN:
                if (source / file).is_file():
                    files[f"{name}/{file}"] = source / file
            entry = replace(entry, path=name)
        entries.append(entry)
    for search in sorted((folder / "tuning").glob("*/*")):
        for file in OF_A_SEARCH:
            if (search / file).is_file():
                files[str((search / file).relative_to(folder))] = search / file
    if (folder / LOOKS).is_file():
        files[LOOKS] = folder / LOOKS
    with tempfile.TemporaryDirectory() as place:
        settings = {**record.settings, "dir": "."}
        files[FILE] = write_record(Path(place), replace(record, settings=settings, entries=entries))
        part = target.with_name(f".{target.name}.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in sorted(files.items()):
                archive.writestr(
                    zipfile.ZipInfo(name, EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED
                )
        part.replace(target)
    return target


@contextmanager
def unpacked(file: Path) -> Iterator[tuple[Path, Record]]:
    """Unpacks an archive to a temporary folder, and yields the folder and the record.

    Raises:
        UserError: the file is not an artifact of a paper.
    """
    if not file.is_file():
        raise UserError(f"artifact={file} is not a file.")
    folder = Path(tempfile.mkdtemp(prefix="arclight-"))
    try:
        with zipfile.ZipFile(file) as archive:
            _require_small(archive, file)
            archive.extractall(folder)  # keeps names with .. inside the folder
        yield folder, read_record(folder)
    # zlib and zipfile raise all of these for damaged files.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"artifact={file} is not a zip file, or damaged: {error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_small(archive: zipfile.ZipFile, file: Path) -> None:
    """Raises `UserError` if unpacking could fill the disk."""
    size = sum(member.file_size for member in archive.infolist())
    if size > MAX_SIZE or size > MAX_RATIO * file.stat().st_size + 2**20:
        raise UserError(
            f"artifact={file} would unpack to {size:,} bytes, too many for a paper's artifact."
        )
