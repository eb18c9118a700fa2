"""A multilayer perceptron for numbers and categories."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.ranges import Count, Natural, Share


class MLP(nn.Module):
    """An MLP with GELU and dropout; categories are embedded (Guo & Berkhahn, 2016) or one-hot.

    Args:
        num_numbers: numeric columns of a row, which come first.
        cardinalities: number of categories of each of the following columns.
        num_outputs: number of logits, or 1.
        width: of the hidden layers.
        n_layers: number of hidden layers.
        dropout: after each.
        d_embedding: width of category embeddings; None: one-hot.
    """

    def __init__(
        self,
        num_numbers: Natural,
        cardinalities: Sequence[Count],
        num_outputs: Count = 1,
        *,
        width: Count = 128,
        n_layers: Natural = 2,
        dropout: Share = 0.1,
        d_embedding: Count | None = 8,
    ) -> None:
        super().__init__()
        self.num_numbers, self.cardinalities = num_numbers, list(cardinalities)
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, d_embedding) for size in self.cardinalities if d_embedding
        )
        before = num_numbers + sum(d_embedding or size for size in self.cardinalities)
        layers: list[nn.Module] = []
        for _ in range(n_layers):
            layers += [nn.Linear(before, width), nn.GELU(), nn.Dropout(dropout)]
            before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(before, num_outputs)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def forward(self, rows: Tensor) -> Tensor:
        """Rows `(batch, num_numbers + categories)` to `(batch, num_outputs)`."""
        parts = [rows[:, : self.num_numbers]]
        for i, size in enumerate(self.cardinalities):
            category = rows[:, self.num_numbers + i].long()
            if self.embeddings:
                parts.append(self.embeddings[i](category))
            else:
                parts.append(F.one_hot(category, size).to(rows.dtype))
        outputs: Tensor = self.head(self.body(torch.cat(parts, dim=1)))
        return outputs
