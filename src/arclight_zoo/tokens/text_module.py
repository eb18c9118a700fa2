"""What data modules of text share: the run's tokenizer."""

import hashlib
from abc import ABC
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from arclight.data.facts import Facts
from arclight.data.module import DataModule
from arclight_zoo.reading.cache import cached
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.text_facts import TextFacts


class TextModule(DataModule, ABC):
    """A data module that turns text into tokens; the run's directory keeps how.

    Attributes:
        cache: folder of what is made once.
        tokenizer: known after `setup()`.
    """

    facts: TextFacts
    facts_type: type[Facts] = TextFacts
    cache: Path
    tokenizer: Tokenizer

    def find_tokenizer(
        self, kind: str, texts: Iterable[str], vocab_size: int, key: str | None = None
    ) -> Tokenizer:
        """The one that the run's directory keeps, or else a new one, which it keeps from now on.

        Either takes a special token that a text spells out for mere text.

        Args:
            kind: `characters`, `bpe`, or a published one's name or folder.
            texts: to train on.
            vocab_size: tokens of `bpe`.
            key: changes when the texts do; None: they are gone through to tell.
        """
        found = tokenizers.load(self.folder) if self.folder else None
        if found is None:
            found = tokenizers.literal(self._made(kind, texts, vocab_size, key))
            if self.folder:
                tokenizers.keep(found, self.folder)
        return found

    def _made(self, kind: str, texts: Iterable[str], vocab_size: int, key: str | None) -> Tokenizer:
        if kind not in ("characters", "bpe"):
            return tokenizers.published(kind)
        if key is None:
            digest = hashlib.sha256()
            for text in texts:
                digest.update(hashlib.sha256(text.encode()).digest())
            key = digest.hexdigest()

        def train() -> np.ndarray:
            made = tokenizers.trained(kind, texts, vocab_size)
            return np.frombuffer(made.to_str().encode(), dtype=np.uint8)

        content = cached(self.cache, f"tokenizer 1|{kind}|{vocab_size}|{key}", train)
        return Tokenizer.from_str(content.tobytes().decode())
