"""Small files with large or endless content, by the suffix that decides how they are read."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

JSONS = {
    "empty lists": '{"a": [' + "[]," * 5_000_000 + "[]]}",
    "mappings": '{"a": [' + '{"":0},' * 2_000_000 + "0]}",
    "keys": "{" + ",".join(f'"{n}":0' for n in range(1_200_000)) + "}",
    "a text": '{"a": "' + "x" * 16_000_000 + '"}',
}
"""Below the size that is rejected unread."""


def _rows(file: Path) -> None:
    """Writes a hundred million equal rows."""
    import pyarrow
    from pyarrow import parquet

    names = ("id", "target", "prediction", "score")
    part = pyarrow.table({name: np.zeros(1_000_000) for name in names})
    with parquet.ParquetWriter(file, part.schema, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(part, row_group_size=1_000_000)


def of_predictions(names: str) -> Callable[[Path], None]:
    """Writes `predictions.parquet` with two rows and these class names."""

    def write(file: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        columns = ("id", "target", "prediction", "score")
        table = pyarrow.table({name: [0, 1] for name in columns})
        parquet.write_table(table.replace_schema_metadata({"class_names": names}), file)

    return write


def deflated(file: Path, megabytes: int = 2000) -> None:
    """Writes weights as a compressed zip file of zeros."""
    torch.save({"state_dict": {"a": torch.zeros(10)}}, file)
    with zipfile.ZipFile(file) as given:
        content = {one: given.read(one) for one in given.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, value in content.items():
            with bomb.open(name, "w", force_zip64=True) as member:
                member.write(value)
                if name.endswith("data/0"):
                    for _ in range(megabytes):
                        member.write(bytes(2**20))


def _expanded(file: Path) -> None:
    """Writes one number, repeated to a weight of terabytes."""
    weights = {"a.weight": torch.zeros(1).expand(10**6, 10**6)}
    torch.save({"state_dict": weights, "global_step": 1, "run_id": "x"}, file)


def _safetensors(header: dict[str, Any] | bytes, length: int | None = None) -> Any:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()

    def write(file: Path) -> None:
        file.write_bytes(struct.pack("<Q", length or len(encoded)) + encoded)

    return write


def _npy(shape: tuple[int, ...]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        made = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            made, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        file.write_bytes(made.getvalue())

    return write


def _tokens(file: Path) -> None:
    file.write_text(
        '{"model": {"type": "BPE", "vocab": {}, "merges": [' + '"a b",' * 10**6 + '"a b"]}}'
    )


FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a hundred million rows", _rows, "parquet"),
    ("class names that are no JSON", of_predictions("["), "parquet"),
    ("class names in deep lists", of_predictions("[" * 100_000), "parquet"),
    ("class names that are a number", of_predictions("3"), "parquet"),
    ("zeros in a zip file", deflated, "pt"),
    ("zeros in a zip file", deflated, "ckpt"),
    ("a number repeated to terabytes", _expanded, "pt"),
    ("a number repeated to terabytes", _expanded, "ckpt"),
    ("a header of exabytes", _safetensors({}, 2**62), "safetensors"),
    (
        "a weight of terabytes",
        _safetensors({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}),
        "safetensors",
    ),
    (
        "offsets beyond the file",
        _safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [2**60, 2**60 + 4]}}),
        "safetensors",
    ),
    ("a header in deep lists", _safetensors(b'{"a":' + b"[" * 100_000), "safetensors"),
    ("terabytes", _npy((10**6, 10**6)), "npy"),
    ("100000x100000", _npy((100_000, 100_000)), "npy"),
    ("a cell of megabytes", lambda file: file.write_text(f"x,y\n{'1' * 8_000_000},2\n"), "csv"),
    ("an open quote", lambda file: file.write_text('x,y\n"' + "1,2\n" * 2_000_000), "csv"),
    ("a million merges", _tokens, "json"),
]
"""What they are, how they are written, and their suffix."""
