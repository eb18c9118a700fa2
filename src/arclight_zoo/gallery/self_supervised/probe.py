"""A linear probe of frozen features."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from arclight.data.module import DataModule
from arclight.data.order import EvalBatches

BATCH = 512


class LinearProbe:
    """Multinomial logistic regression on features, fitted to convergence (Alain & Bengio, 2017).

    Args:
        features: `(examples, width)`, on the CPU.
        labels: `(examples,)`.
        classes: number of classes.
        decay: L2 penalty of the weights, added to the mean cross-entropy.
    """

    def __init__(self, features: Tensor, labels: Tensor, classes: int, decay: float = 1e-3) -> None:
        self.mean, self.std = features.mean(0), features.std(0).clamp_min(1e-6)
        with torch.inference_mode(False), torch.enable_grad():
            inputs = self._scaled(features).clone()
            labels = labels.clone()
            self.weight = torch.zeros(classes, inputs.shape[1], requires_grad=True)
            self.bias = torch.zeros(classes, requires_grad=True)
            optimizer = torch.optim.LBFGS(
                [self.weight, self.bias], max_iter=200, line_search_fn="strong_wolfe"
            )

            def loss() -> Tensor:
                optimizer.zero_grad()
                found = F.cross_entropy(F.linear(inputs, self.weight, self.bias), labels)
                whole = found + decay * self.weight.square().sum()
                whole.backward()  # type: ignore[no-untyped-call]
                return whole

            optimizer.step(loss)  # type: ignore[no-untyped-call]

    def _scaled(self, features: Tensor) -> Tensor:
        return (features.float().cpu() - self.mean) / self.std

    def __call__(self, features: Tensor) -> Tensor:
        """Logits `(examples, classes)`, on the features' device."""
        logits = F.linear(self._scaled(features), self.weight, self.bias)
        return logits.detach().to(features.device)


def probed(
    encode: Callable[[Tensor], Tensor], data: DataModule, device: torch.device, labels: int | None
) -> LinearProbe:
    """Fits a probe on features of a data module's training images, without augmentation.

    Args:
        encode: maps images `(batch, ...)` to features `(batch, width)`.
        data: labelled images; `setup` has been called.
        device: of `encode`.
        labels: number of labelled training images to use, evenly spaced; None: all.
    """
    size = data.facts.sizes["train"]
    every = max(1, size // labels) if labels else 1
    some = EvalBatches(size, BATCH * every, world=every)  # every n-th image
    features, known = [], []
    with torch.no_grad():
        for images, classes in data.make_loader("train", some, device):
            features.append(encode(images).float().cpu())
            known.append(classes.cpu())
    everything = torch.cat(known)
    return LinearProbe(torch.cat(features), everything, int(everything.max()) + 1)
