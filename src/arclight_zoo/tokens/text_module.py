"""The base of data modules for text, with the run's tokenizer."""

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
    """A data module that tokenises text; the run's directory stores the tokenizer.

    Attributes:
        cache: folder of cached files.
        tokenizer: set by `setup()`.
    """

    facts: TextFacts
    facts_type: type[Facts] = TextFacts
    cache: Path
    tokenizer: Tokenizer

    def find_tokenizer(
        self, kind: str, texts: Iterable[str], vocab_size: int, key: str | None = None
    ) -> Tokenizer:
        """Loads the tokenizer of the run's directory, or makes and saves a new one.

        The tokenizer does not parse special tokens in texts.

        Args:
            kind: `characters`, `bpe`, or the name or folder of a published one.
            texts: to train on.
            vocab_size: tokens of `bpe`.
            key: changes when the texts change; None: computed from the texts.
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
