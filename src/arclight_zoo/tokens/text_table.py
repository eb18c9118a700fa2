"""The base of data modules for tables of short texts."""

from abc import ABC
from typing import Any

from arclight.data.module import require_counts
from arclight.errors import UserError
from arclight.ranges import Count
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.cells import Cells
from arclight_zoo.reading.divided import DividedData
from arclight_zoo.tokens.text_module import TextModule


class TextTable(DividedData, TextModule, ABC):
    """Tokenised texts of a table, padded to the longest of a batch.

    Args:
        path: of the table.
        encoding: of csv and jsonl files; None: UTF-8, unless a byte order mark says otherwise.
        missing: values in csv files that count as missing, such as `NA`; None: only empty cells.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training texts), or a
            published one: a local folder or file, or a hub id.
        vocab_size: tokens of `bpe`.
        max_length: maximum tokens of a text, with start and end; longer texts are cut.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        train_split: for this and all further arguments, see `DividedData`.

    Raises:
        UserError: an argument is invalid.
    """

    def __init__(
        self,
        path: str,
        encoding: str | None = None,
        missing: list[str] | None = None,
        tokenizer: str = "bpe",
        vocab_size: Count = 4096,
        max_length: Count = 128,
        cache: str | None = None,
        **divided: Any,
    ) -> None:
        super().__init__(path, **divided)
        require_counts(vocab_size=vocab_size)
        require_room(max_length=max_length)
        self.cells = Cells(encoding, tuple(missing or ()))
        self.kind, self.vocab_size, self.max_length = tokenizer, vocab_size, max_length
        self.cache = cache_folder(cache)


def require_room(**lengths: int) -> None:
    """Raises `UserError` if a maximum length leaves no room between start and end token."""
    for key, length in lengths.items():
        if length < 3:
            raise UserError(
                f"data.{key}={length} leaves no room for a text between its start and end tokens: "
                f"type data.{key}=64, for example."
            )
