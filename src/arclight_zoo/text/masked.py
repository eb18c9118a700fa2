"""Masked text: the data module of masked language modelling."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Share
from arclight.seeds import mix
from arclight_zoo.text.stream import TextStream
from arclight_zoo.tokens.ragged import IGNORED, token_of
from arclight_zoo.tokens.tokenizer import MASK, MASKS


class MaskedText(TextStream):
    """Sequences of a text stream with masked tokens to predict (Devlin et al., 2019).

    Of the chosen tokens 80 % become the mask, 10 % a random token, and 10 % stay. In training the
    choice is a pure function of (seed, epoch, sequence); in evaluation it never changes.

    A batch is (tokens, targets), both `(batch, context)`: the targets are the tokens that were
    chosen, and -100 elsewhere.

    Args:
        path: see `TextStream`.
        masked: fraction of each sequence's tokens to choose.
        stream: further arguments of `TextStream`.

    Raises:
        UserError: the tokenizer has no mask token.
    """

    def __init__(self, path: str, masked: Share = 0.15, **stream: Any) -> None:
        super().__init__(path, **stream)
        if not 0 < masked < 1:
            raise UserError(f"data.masked={masked} should be between 0 and 1: type 0.15.")
        self.count = max(1, round(masked * self.context))

    def setup(self, stage: str | None = None) -> None:
        """See `TextStream.setup`; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        super().setup(stage)
        mask = token_of(self.tokenizer, *MASKS)
        if mask is None:
            raise UserError(
                f"data.tokenizer={self.kind} has no mask token {MASK}: type "
                "data.tokenizer=bpe, or name a tokenizer that has one."
            )
        self.mask = mask
        added = self.tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        self.ordinary = np.array(sorted(set(range(self.tokenizer.get_vocab_size())) - special))
        # the loss covers only some tokens, so bits per byte are undefined
        self.facts = replace(self.facts, bytes_per_token={})

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        plain = super().make_loader(stage, batches, device)

        def make(indices: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
            tokens, following = plain.make(indices, epoch)
            pairs = [
                self._hide(row.numpy(), (after != IGNORED).numpy(), _key(self.seed, epoch, index))
                for row, after, index in zip(tokens, following, indices.tolist(), strict=True)
            ]
            hidden, targets = (np.stack(rows) for rows in zip(*pairs, strict=True))
            return torch.from_numpy(hidden), torch.from_numpy(targets)

        return RowLoader(batches, make)

    def _hide(
        self, tokens: NDArray[np.int64], allowed: NDArray[np.bool_], key: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Masks tokens of a sequence; returns the inputs and targets.

        Args:
            tokens: `(context,)`.
            allowed: True for tokens that may be chosen; special tokens may not.
            key: of the random number generator.
        """
        rng = np.random.Generator(np.random.Philox(key=key))
        order = rng.permutation(len(tokens))
        other = self.ordinary[rng.integers(len(self.ordinary), size=self.count)]
        fate = rng.random(self.count)
        allowed = allowed & np.isin(tokens, self.ordinary)
        chosen = order[allowed[order]][: self.count]
        now = np.where(fate < 0.8, self.mask, np.where(fate < 0.9, other, -1))[: len(chosen)]
        hidden, targets = tokens.copy(), np.full_like(tokens, IGNORED)
        targets[chosen] = tokens[chosen]
        hidden[chosen] = np.where(now < 0, tokens[chosen], now)
        return hidden, targets


def _key(seed: int, epoch: int | None, index: int) -> int:
    """The random key of a sequence: from seed, epoch and index; in evaluation from the index."""
    return mix("masked", index) if epoch is None else mix("masked", seed, epoch, index)
