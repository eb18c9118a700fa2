"""The baselines of `scripts/benchmark.py`: training loops in plain PyTorch.

As a command, `python scripts/benchmarks/bare_loops.py FILE`, it trains a CNN on the digits for one
step and then writes FILE: the smallest script whose start can be compared with that of `train.py`.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset, TensorDataset

Batch = tuple[Tensor, Tensor]

SMOOTHING, CLIP = 0.1, 1.0  # the loss and the clipping of the project's default config
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]  # of CIFAR-10


class MLP(nn.Module):
    """Pixels to logits, `(batch, ...)` to `(batch, 10)`, over `n_hidden` layers of one width."""

    def __init__(self, d_in: int = 64, d_hidden: int = 64, n_hidden: int = 1) -> None:
        super().__init__()
        widths = [d_in] + [d_hidden] * n_hidden
        layers: list[nn.Module] = [nn.Flatten()]
        for before, width in pairwise(widths):
            layers += [nn.Linear(before, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def cnn(channels: int, classes: int) -> nn.Module:
    """The network of `configs/model/cnn.yaml`, layer by layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 256, 3, padding=1),
        nn.BatchNorm2d(256),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, classes),
    )


def train(model: nn.Module, batches: Iterable[Batch], optimizer: torch.optim.Optimizer) -> None:
    """One step for each batch."""
    for images, targets in batches:
        loss = F.cross_entropy(model(images), targets, label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images augmented one at a time, like CIFAR-10 in torchvision's tutorials.

    Args:
        images: uint8 `(n, 3, 32, 32)`.
        labels: `(n,)`.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        from torchvision.transforms import v2

        self.images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels: list[int] = labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def tutorial_batches(images: Tensor, labels: Tensor, batch_size: int) -> Iterator[Batch]:
    """An endless stream of batches, created in this process."""
    pictures = OneByOne(images, labels)
    return endless(DataLoader(pictures, batch_size, shuffle=True, drop_last=True))


def endless(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Repeats the epochs endlessly."""
    while True:
        yield from batches


def stock_trainer(model: nn.Module, batch: Batch) -> Any:
    """Lightning with its defaults, after one step with AdamW, so there is a state to save."""
    import lightning as L

    class Plain(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
            return F.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return AdamW(self.parameters())

    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Plain(), DataLoader(TensorDataset(*batch), batch_size=len(batch[0])))
    return trainer


def first_step() -> None:
    """Reads the digits and trains the CNN for one step."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    loader = DataLoader(TensorDataset(images, torch.tensor(digits.target)), 128, shuffle=True)
    model = cnn(channels=1, classes=10)
    train(model, [next(iter(loader))], AdamW(model.parameters()))


if __name__ == "__main__":
    first_step()
    Path(sys.argv[1]).write_text("1\n")
