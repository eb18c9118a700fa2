"""Text with some tokens hidden: the data module of masked language modelling."""

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
from arclight_zoo.text.stream import IGNORED, TextStream
from arclight_zoo.tokens.ragged import token_of
from arclight_zoo.tokens.tokenizer import MASK, MASKS


class MaskedText(TextStream):
    """Sequences of a text stream of which some tokens are to be told (Devlin et al., 2019).

    Of the chosen tokens 80% become the mask, 10% any other token, and 10% stay. The choice in
    training is a pure function of (seed, epoch, sequence); in evaluation it never changes.

    A batch is (tokens, targets), both `(batch, context)`: the targets are the tokens that were
    chosen, and -100 elsewhere.

    Args:
        masked: share of each sequence's tokens that are chosen; the others are as of `TextStream`.

    Raises:
        UserError: the tokenizer has no mask.
    """

    def __init__(self, path: str, masked: Share = 0.15, **stream: Any) -> None:
        super().__init__(path, **stream)
        if not 0 < masked < 1:
            raise UserError(f"data.masked={masked} should be between 0 and 1: type 0.15.")
        self.count = max(1, round(masked * self.context))

    def setup(self, stage: str | None = None) -> None:
        """As of `TextStream`; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        super().setup(stage)
        mask = token_of(self.tokenizer, *MASKS)
        if mask is None:
            raise UserError(
                f"data.tokenizer={self.kind} has no token {MASK} that could hide others: type "
                "data.tokenizer=bpe, or name one that has."
            )
        self.mask = mask
        added = self.tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        self.ordinary = np.array(sorted(set(range(self.tokenizer.get_vocab_size())) - special))
        # the loss is not of all bytes of the text, so it says nothing about bits per byte
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
        """One sequence with tokens hidden, and those tokens.

        Args:
            tokens: `(context,)`.
            allowed: where tokens may be chosen; special ones never are.
            key: decides which.
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
    """Of one sequence: of the run, the epoch and its number; in evaluation of its number alone."""
    return mix("masked", index) if epoch is None else mix("masked", seed, epoch, index)
