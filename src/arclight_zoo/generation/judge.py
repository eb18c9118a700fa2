"""Scores of made images, by a classifier of the real ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.module import DataModule
from arclight.data.order import EvalBatches

MOST = 10_000  # images that it learns from
STEPS, BATCH, WIDTH = 600, 64, 32
CONFIDENT = 0.9


class Judge:
    """A small classifier of a data module's training images, and what its scores are.

    It takes the place of the Inception network, which knows photographs of 299 pixels alone. Its
    weights depend on the data only: every run on them is judged alike. On the 359 test images of
    scikit-learn's digits it is right 98 times in 100.

    Args:
        data: labelled images, set up.
        device: where it judges; it is trained on the CPU.
    """

    def __init__(self, data: DataModule, device: torch.device) -> None:
        images, labels = _training_images(data)
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            channels, classes = images.shape[1], int(labels.max()) + 1
            self.body = nn.Sequential(
                nn.Conv2d(channels, WIDTH // 2, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(WIDTH // 2, WIDTH, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(4),
                nn.Flatten(),
                nn.Dropout(0.2),
                nn.Linear(16 * WIDTH, WIDTH),
                nn.ReLU(),
            )
            self.head = nn.Linear(WIDTH, classes)
            self._learn(images.clone(), labels.clone())
        for part in (self.body, self.head):
            part.eval().requires_grad_(False).to(device)

    def _learn(self, images: Tensor, labels: Tensor) -> None:
        parameters = [*self.body.parameters(), *self.head.parameters()]
        optimizer = torch.optim.Adam(parameters, 2e-3)
        for _ in range(STEPS):
            rows = torch.randint(len(images), (BATCH,))
            loss = F.cross_entropy(self.head(self.body(images[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def features(self, images: Tensor) -> Tensor:
        """What the classifier sees in images as the data serve them: `(batch, 32)`."""
        seen: Tensor = self.body(images)
        return seen

    def scores(self, made: Tensor, real: Tensor) -> dict[str, float]:
        """How good made images are, from the features of these and of real ones.

        Returns:
            `score`: the inception score (Salimans et al., 2016), from 1 to the number of classes:
            higher where each image is clearly of one class, and all classes are made alike.
            `confident`: the share whose likeliest class has a probability above 0.9.
            `distance`: the Frechet distance of the two sets of features (Heusel et al., 2017),
            0 for equal ones; unlike the score it sees whether a class always looks the same.
        """
        chances = self.head(made).double().softmax(1)
        gain = chances * (chances.clamp_min(1e-12).log() - chances.mean(0).clamp_min(1e-12).log())
        return {
            "score": float(gain.sum(1).mean().exp()),
            "confident": float((chances.amax(1) > CONFIDENT).double().mean()),
            "distance": frechet_distance(made, real),
        }


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Between normal distributions of the mean and covariance of two sets `(examples, features)`.

    The trace of a product's root is the sum of the roots of its eigenvalues.
    """
    a, b = a.double().cpu(), b.double().cpu()
    spread_a, spread_b = a.T.cov(), b.T.cov()
    roots = torch.linalg.eigvals(spread_a @ spread_b).real.clamp_min(0).sqrt()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + spread_a.trace() + spread_b.trace() - 2 * roots.sum())


def _training_images(data: DataModule) -> tuple[Tensor, Tensor]:
    """Images as they are served, not augmented, and their classes, on the CPU."""
    size = data.facts.sizes["train"]
    every = -(-size // MOST)
    some = EvalBatches(size, BATCH * every, world=every)  # each n-th of them
    batches = list(data.make_loader("train", some, torch.device("cpu")))
    images, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    return images, labels
