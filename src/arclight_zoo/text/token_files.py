"""Read encoded tokens: a folder with `train.bin`, `val.bin` and `test.bin`, as in nanoGPT."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import require_taken

TRAIN_FILE = "train.bin"
_READ = 2**22  # tokens per read


def kind_of(vocab_size: int) -> type[np.unsignedinteger[Any]]:
    """The smallest integer type for the tokens of a vocabulary."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def holds_token_files(path: str) -> bool:
    """Whether the path is a folder of encoded tokens."""
    return Path(path).expanduser().joinpath(TRAIN_FILE).is_file()


def open_token_files(
    path: str, vocab_size: int, fractions: tuple[float, float], cache: Path
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The memory-mapped tokens of "val", "test" and "train", and a key for each.

    Args:
        path: the folder.
        vocab_size: all tokens are below it; above 65,536 tokens have four bytes, otherwise two.
        fractions: of validation and test; taken from the end of the training tokens if they have
            no file.
        cache: folder for the largest token of each file.

    Raises:
        UserError: a file has a fractional number of tokens, or tokens outside the vocabulary.
    """
    found, keys = {}, {}
    for stage in ("val", "test", "train"):
        file = Path(path).expanduser() / f"{stage}.bin"
        if file.is_file():
            found[stage], keys[stage] = _mapped(file, vocab_size, cache)
    train, key = found["train"], keys["train"]
    end = len(train) - (0 if "test" in found else round(fractions[1] * len(train)))
    middle = end - (0 if "val" in found else round(fractions[0] * len(train)))
    carved = {"val": train[middle:end], "test": train[end:]}
    for (stage, part), share in zip(carved.items(), fractions, strict=True):
        if share and stage not in found:
            require_taken(stage, share, len(part), f"{len(train)} tokens", "they are too few")
    streams = {**carved, **found, "train": train[:middle]}
    return streams, {stage: f"{keys.get(stage, key)}|{fractions}" for stage in streams}


def _mapped(file: Path, vocab_size: int, cache: Path) -> tuple[NDArray[Any], str]:
    kind, stat = kind_of(vocab_size), file.stat()
    size = np.dtype(kind).itemsize
    if not stat.st_size or stat.st_size % size:
        raise UserError(
            f"{file} has {stat.st_size} bytes, which is not a multiple of {size} bytes per token "
            f"(data.vocab_size={vocab_size}): write it as plain {np.dtype(kind).name}."
        )
    tokens = np.memmap(file, dtype=kind, mode="r")
    key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{np.dtype(kind).name}"

    def look() -> NDArray[Any]:
        return np.array(max(int(tokens[i : i + _READ].max()) for i in range(0, len(tokens), _READ)))

    largest = int(cached(cache, f"largest token 1|{key}", look))
    if largest >= vocab_size:
        raise UserError(
            f"{file} has token {largest}, which is not below data.vocab_size={vocab_size}: type "
            f"data.vocab_size={largest + 1} or more (above 65,536 the tokens are uint32)."
        )
    return tokens, key
