"""Sharded checkpoints: a small file refers to a folder with the shards of all processes.

The file is handled like every other checkpoint: written atomically and linked under several names.
Each save uses a new folder, which gets its final name when it is complete, so a checkpoint file
never refers to an incomplete folder. The folder has torch's distributed checkpoint format.
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
PICKLE = ".metadata"  # torch's name of the file
PIECE = 2**24  # bytes read at a time


def write_shards(state: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Writes the shards of all processes into a new folder next to the checkpoint file.

    A collective call: every process must take part.

    Returns:
        The entries of the checkpoint file: the folder's name, its metadata, and the checksums of
        its files.
    """
    name = [f"{checkpoint.stem}-{secrets.token_hex(4)}{SUFFIX}"]
    dist.broadcast_object_list(name)
    folder = checkpoint.with_name(name[0])
    part = folder.with_name(f".{folder.name}{TEMPORARY}")
    try:
        save(state, storage_writer=FileSystemWriter(part))  # synced to the disk
        metadata = [remove_pickle(part) if dist.get_rank() == 0 else {}]
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


def remove_pickle(folder: Path) -> dict[str, Any]:
    """Removes the pickle that torch has just written with the shards, and returns its content."""
    metadata = to_plain(FileSystemReader(folder).read_metadata())
    (folder / PICKLE).unlink()
    return metadata


def damaged_shards(folder: Path, checksums: Mapping[str, int]) -> list[Path]:
    """The files of the folder that are missing or have a wrong checksum."""
    files = {folder / name: value for name, value in checksums.items()}
    return [f for f, value in files.items() if not f.is_file() or checksum(f) != value]


def read_shards(state: dict[str, Any], folder: Path, plain: dict[str, Any]) -> None:
    """Fills a sharded state in place from the folder, written by any number of processes.

    Args:
        plain: the `shard_metadata` of the checkpoint file.

    Raises:
        ValueError: the shards do not match the metadata.
    """
    _load(state, _reader(folder, plain), no_dist=False)


def _load(state: dict[str, Any], reader: PlainReader, no_dist: bool) -> None:
    try:
        load(state, storage_reader=reader, planner=PlainPlanner(), no_dist=no_dist)
    except CheckpointException as error:  # not a subclass of Exception
        raise ValueError("the shards do not match their metadata") from error


def _reader(folder: Path, plain: dict[str, Any]) -> PlainReader:
    return PlainReader(folder, from_plain(plain, {file.name for file in folder.iterdir()}))


def assemble(folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
    """The content of the folder, as plain containers and full tensors on the CPU.

    Args:
        plain: the `shard_metadata` of the checkpoint file.

    Raises:
        ValueError: the shards do not match the metadata.
    """
    reader = _reader(folder, plain)
    metadata = reader.read_metadata()
    state: dict[str, Any] = {}
    for key, stored in metadata.state_dict_metadata.items():
        value = None  # loading replaces it
        if isinstance(stored, TensorStorageMetadata):
            value = torch.empty(stored.size, dtype=stored.properties.dtype)
        _put(state, (metadata.planner_data or {}).get(key, (key,)), value)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # intended
        _load(state, reader, no_dist=True)
    return state


def _put(container: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Puts a value at its path of keys and indices, and creates the dicts and lists on the path."""
    *parents, last = path
    for key, following in zip(parents, path[1:], strict=True):
        inner: Any = [] if isinstance(following, int) else {}
        container = _entry(container, key, inner)
    _entry(container, last, value)


def _entry(container: Any, key: str | int, value: Any) -> Any:
    """The entry at the key; if there is none, sets it to `value` first."""
    if isinstance(container, dict):
        return container.setdefault(key, value)
    assert isinstance(key, int)
    container.extend([None] * (key + 1 - len(container)))
    if container[key] is None:
        container[key] = value
    return container[key]


def remove_unused_shards(folder: Path) -> None:
    """Removes the shards that no checkpoint file in the folder refers to."""
    used = set()
    for file in folder.glob("*.ckpt"):
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        used.add(content.get("shards"))
    for shards in folder.glob(f"*{SUFFIX}"):
        if shards.name not in used and not shards.is_symlink():
            shutil.rmtree(shards)


def checksum(file: Path) -> int:
    """CRC-32 of a file. A file that was just written is still in the page cache."""
    value = 0
    with file.open("rb", buffering=0) as stream:
        while piece := stream.read(PIECE):
            value = zlib.crc32(piece, value)
    return value


def load_into_shards(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Loads a full state dict, which every process has, into a sharded module."""
    set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True))
