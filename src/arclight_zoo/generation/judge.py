"""Score generated images with a classifier that was trained on the real ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.data.module import DataModule
from arclight.data.order import EvalBatches

MOST = 10_000  # training images
STEPS, BATCH, WIDTH = 600, 64, 32
CONFIDENT = 0.9


class Judge:
    """A small classifier, trained on a data module's images, that scores generated images.

    It replaces the Inception network, which only knows photographs of 299 pixels. Its weights
    depend on the data only, so all runs on the same data get comparable scores. Its accuracy on
    the 359 test images of scikit-learn's digits is 98 %.

    Args:
        data: labelled images; `setup` has been called.
        device: where it scores; it is trained on the CPU.
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
        """The classifier's features `(batch, 32)` of images as the data module yields them."""
        seen: Tensor = self.body(images)
        return seen

    def scores(self, made: Tensor, real: Tensor) -> dict[str, float]:
        """Scores generated images.

        Args:
            made: features of generated images, `(examples, 32)`.
            real: features of real images, `(examples, 32)`.

        Returns:
            `score`: the inception score (Salimans et al., 2016), from 1 to the number of classes;
            higher if each image clearly has one class, and all classes are equally frequent.
            `confident`: the fraction of images whose likeliest class has a probability above 0.9.
            `distance`: the Frechet distance of the two sets of features (Heusel et al., 2017),
            0 for equal sets; unlike the score it penalises classes that always look the same.
        """
        chances = self.head(made).double().softmax(1)
        gain = chances * (chances.clamp_min(1e-12).log() - chances.mean(0).clamp_min(1e-12).log())
        return {
            "score": float(gain.sum(1).mean().exp()),
            "confident": float((chances.amax(1) > CONFIDENT).double().mean()),
            "distance": frechet_distance(made, real),
        }


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The Frechet distance of normal distributions fitted to two sets `(examples, features)`.

    The trace of a matrix square root is the sum of the roots of the matrix's eigenvalues.
    """
    a, b = a.double().cpu(), b.double().cpu()
    spread_a, spread_b = a.T.cov(), b.T.cov()
    roots = torch.linalg.eigvals(spread_a @ spread_b).real.clamp_min(0).sqrt()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + spread_a.trace() + spread_b.trace() - 2 * roots.sum())


def _training_images(data: DataModule) -> tuple[Tensor, Tensor]:
    """Training images without augmentation, and their classes, on the CPU."""
    size = data.facts.sizes["train"]
    every = -(-size // MOST)
    some = EvalBatches(size, BATCH * every, world=every)  # every n-th image
    batches = list(data.make_loader("train", some, torch.device("cpu")))
    images, labels = (torch.cat([batch[i] for batch in batches]) for i in (0, 1))
    return images, labels
