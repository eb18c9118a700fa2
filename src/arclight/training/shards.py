"""Sharded checkpoints: a small file names a folder, in which each process wrote its own share.

The file is what every other checkpoint is: written whole, linked under several names, read first.
The folder's name is new each time and it is renamed when complete, so that no file ever names half
a folder. torch's distributed checkpoint format lies in it.
"""

import secrets
import shutil
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from arclight.files import TEMPORARY, sync_folder
from arclight.training.plain_shards import PlainPlanner, PlainReader, from_plain, to_plain

SUFFIX = ".shards"
PICKLE = ".metadata"  # as torch calls it
PIECE = 2**24  # bytes read at a time


def write_shards(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Writes the state, each process its share, into a new folder beside the checkpoint file.

    All processes come here together.

    Returns:
        What the file says of it: the folder's name, what is in it, and the checksums of its files.
    """
    name = [f"{checkpoint.stem}-{secrets.token_hex(4)}{SUFFIX}"]
    dist.broadcast_object_list(name)
    folder = checkpoint.with_name(name[0])
    part = folder.with_name(f".{folder.name}{TEMPORARY}")
    try:
        save(state, storage_writer=FileSystemWriter(part))  # synced to the disk
        metadata = [without_pickle(part) if dist.get_rank() == 0 else {}]
        dist.broadcast_object_list(metadata)
        sums: list[dict[str, int]] = [{} for _ in range(dist.get_world_size())]
        mine = sorted(part.iterdir())[dist.get_rank() :: dist.get_world_size()]
        dist.all_gather_object(sums, {f.name: checksum(f) for f in mine})
        if dist.get_rank() == 0:
            part.rename(folder)
            sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    checksums = {k: v for s in sums for k, v in s.items()}
    return {"shards": folder.name, "shard_metadata": metadata[0], "checksums": checksums}


def without_pickle(folder: Path) -> dict[str, Any]:
    """Removes the pickle that torch has just written beside the shards, and returns its content."""
    metadata = to_plain(FileSystemReader(folder).read_metadata())
    (folder / PICKLE).unlink()
    return metadata


def damaged_shards(folder: Path, checksums: Mapping[str, int]) -> list[Path]:
    """The files of the folder that are missing or not as they were written."""
    files = {folder / name: value for name, value in checksums.items()}
    return [f for f, value in files.items() if not f.is_file() or checksum(f) != value]


def read_shards(state: dict[str, Any], folder: Path, plain: dict[str, Any]) -> None:
    """Fills a sharded state in place from the folder, which any number of processes wrote.

    Args:
        plain: what the checkpoint file says of it, its `shard_metadata`.
    """
    _load(state, _reader(folder, plain), no_dist=False)


def _load(state: dict[str, Any], reader: PlainReader, no_dist: bool) -> None:
    try:
        load(state, storage_reader=reader, planner=PlainPlanner(), no_dist=no_dist)
    except CheckpointException as error:  # which is no Exception
        raise ValueError("the shards hold something else") from error


def _reader(folder: Path, plain: dict[str, Any]) -> PlainReader:
    return PlainReader(folder, from_plain(plain, {file.name for file in folder.iterdir()}))


def assembled(folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
    """What is in the folder, as plain containers and whole tensors on the CPU.

    Args:
        plain: what the checkpoint file says of it, its `shard_metadata`.
    """
    reader = _reader(folder, plain)
    metadata = reader.read_metadata()
    state: dict[str, Any] = {}
    for key, stored in metadata.state_dict_metadata.items():
        value = None  # which is replaced by what was stored
        if isinstance(stored, TensorStorageMetadata):
            value = torch.empty(stored.size, dtype=stored.properties.dtype)
        _put(state, (metadata.planner_data or {}).get(key, (key,)), value)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as it should
        _load(state, reader, no_dist=True)
    return state


def _put(container: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Puts a value at its path of keys and indices, and makes the dicts and lists on the way."""
    *way, last = path
    for key, following in zip(way, path[1:], strict=True):
        inner: Any = [] if isinstance(following, int) else {}
        container = _entry(container, key, inner)
    _entry(container, last, value)


def _entry(container: Any, key: str | int, value: Any) -> Any:
    """What is at the key, or else the value, put there."""
    if isinstance(container, dict):
        return container.setdefault(key, value)
    assert isinstance(key, int)
    container.extend([None] * (key + 1 - len(container)))
    if container[key] is None:
        container[key] = value
    return container[key]


def remove_unnamed(folder: Path) -> None:
    """Removes the shards that no checkpoint file of the folder names any more."""
    named = set()
    for file in folder.glob("*.ckpt"):
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        named.add(content.get("shards"))
    for shards in folder.glob(f"*{SUFFIX}"):
        if shards.name not in named and not shards.is_symlink():
            shutil.rmtree(shards)


def checksum(file: Path) -> int:
    """CRC-32 of a file, which is in the page cache where it was just written."""
    value = 0
    with file.open("rb", buffering=0) as stream:
        while piece := stream.read(PIECE):
            value = zlib.crc32(piece, value)
    return value


def load_into_shards(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Loads a plain state dict, which every process has whole, into a sharded module."""
    set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True))
