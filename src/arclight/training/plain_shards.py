"""Shards without pickles: torch's `.metadata` as plain containers, and values read as such.

torch pickles the metadata of the shards. Loading a pickle can run any code, which is unsafe for
checkpoints from others. So the checkpoint file stores the same metadata as plain containers.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import ReadItem

Plain = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """The location of a chunk of a tensor, or of a value, in the folder."""

    relative_path: str
    offset: int
    length: int
    transform_descriptors: None = None


def to_plain(metadata: Metadata) -> Plain:
    """Torch's metadata of the shards, as plain containers."""
    stored: dict[str, list[Any]] = {}
    for index, piece in metadata.storage_data.items():
        offset = None if index.offset is None else list(index.offset)
        place = [offset, index.index, piece.relative_path, piece.offset, piece.length]
        stored.setdefault(index.fqn, []).append(place)
    return {
        key: {
            "path": list((metadata.planner_data or {}).get(key, (key,))),
            "tensor": _tensor(kind) if isinstance(kind, TensorStorageMetadata) else None,
            "stored": stored.get(key, []),
        }
        for key, kind in metadata.state_dict_metadata.items()
    }


def _tensor(kind: TensorStorageMetadata) -> Plain:
    chunks = [[list(chunk.offsets), list(chunk.sizes)] for chunk in kind.chunks]
    return {"dtype": kind.properties.dtype, "size": list(kind.size), "chunks": chunks}


def from_plain(plain: Plain, files: Collection[str]) -> Metadata:
    """The inverse of `to_plain`: metadata with which torch reads the shards.

    Args:
        plain: the result of `to_plain`.
        files: the names of the files that may be read.

    Raises:
        ValueError: the metadata refers to another file.
    """
    kinds: dict[str, TensorStorageMetadata | BytesStorageMetadata] = {}
    paths: dict[str, tuple[str | int, ...]] = {}
    stored: dict[MetadataIndex, Stored] = {}
    for key, known in plain.items():
        kinds[key] = _kind(known["tensor"]) if known["tensor"] else BytesStorageMetadata()
        paths[key] = tuple(known["path"])
        for offset, index, file, start, length in known["stored"]:
            if file not in files:
                raise ValueError(f"{file} is not one of the shards")
            stored[MetadataIndex(key, offset, index)] = Stored(file, int(start), int(length))
    return Metadata(kinds, planner_data=paths, storage_data=stored, storage_meta=StorageMeta())


def _kind(tensor: Plain) -> TensorStorageMetadata:
    chunks = [ChunkStorageMetadata(torch.Size(o), torch.Size(s)) for o, s in tensor["chunks"]]
    properties = TensorProperties(dtype=tensor["dtype"])
    return TensorStorageMetadata(properties, torch.Size(tensor["size"]), chunks)


class PlainReader(FileSystemReader):
    """Reads shards with the metadata of the checkpoint file.

    Args:
        folder: of the shards.
        metadata: the result of `from_plain`.
    """

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        super().__init__(folder)
        self._metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return self._metadata


class PlainPlanner(DefaultLoadPlanner):
    """Reads values other than tensors as containers; torch's planner would unpickle them."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        plain = io.BytesIO()
        torch.save(torch.load(value, map_location="cpu", weights_only=True), plain)
        plain.seek(0)
        super().load_bytes(read_item, plain)
