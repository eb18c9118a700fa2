"""The network of the CIFAR-10 speedrun."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.checks import has_values
from arclight.ranges import Count, Share

EPS = 5e-4  # added to the variance of patches, as published


class SpeedrunNet(nn.Module):
    """airbench's convolutional network (Jordan, 2024).

    A fixed layer whitens patches of 2x2 pixels. Three groups of convolutions follow; each halves
    the image. Their batch norm has no weight, and its bias has a 64 times higher learning rate.
    Convolutions are initialised to the identity as far as possible.

    The whitening is computed from the first training batch and saved with the weights. Call
    `whiten` with that batch before compiling the model.

    Args:
        num_classes: number of logits.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels of each group.
        depth: convolutions per group; with three or more, the first one's output is added to the
            last one's.
        batch_norm_momentum: of the running statistics.
        views: test-time augmentation averages over this many views: 1, 2 (also the mirror image),
            or 6 (also both shifted by a pixel up and left, and down and right).

    Raises:
        UserError: `depth` is below 1, or (in `forward`) an image is too small.
    """

    whitening: Tensor
    whitened: Tensor

    def __init__(
        self,
        num_classes: Count = 10,
        *,
        in_channels: Count = 3,
        widths: Sequence[Count] = (64, 256, 256),
        depth: Count = 2,
        batch_norm_momentum: Share = 0.4,
        views: Literal[1, 2, 6] = 6,
    ) -> None:
        super().__init__()
        if depth < 1 or not widths:
            raise UserError("model.depth and the length of model.widths should be 1 or more.")
        self.views, self.smallest = views, 2 ** (len(widths) + 1)
        first = 2 * 4 * in_channels
        # Buffers are saved in checkpoints but not trained.
        self.register_buffer("whitening", torch.randn(first, in_channels, 2, 2) / 2)
        self.register_buffer("whitened", torch.tensor(False))
        self.must_whiten = True  # mirrors `whitened` without a host synchronisation
        self.register_load_state_dict_post_hook(_remember)  # type: ignore[no-untyped-call]
        self.whitening_bias = nn.Parameter(torch.zeros(first))
        self.groups = nn.ModuleList(
            Group(before, width, depth, batch_norm_momentum)
            for before, width in zip([first, *widths], widths, strict=False)
        )
        self.head = nn.Linear(widths[-1], num_classes, bias=False)

    def layers(self) -> list[nn.Module]:
        """The groups of convolutions, from input to output."""
        return list(self.groups)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        """Images `(batch, in_channels, height, width)` to logits `(batch, num_classes)`."""
        if min(x.shape[-2:]) < self.smallest:
            raise UserError(
                f"An image of {x.shape[-2]}x{x.shape[-1]} is too small for the model: type "
                f"data.image_size={self.smallest} or more."
            )
        if self.training:
            if self.must_whiten and has_values(x):
                self.whiten(x)
            return self._logits(x)
        if self.views == 1:
            return self._logits(x)
        both = self._mirrored(x)
        if self.views == 2:
            return both
        height, width = x.shape[-2:]
        wide = F.pad(x, (1, 1, 1, 1), "reflect")
        shifted = self._mirrored(wide[..., :height, :width]) + self._mirrored(wide[..., 2:, 2:])
        return both / 2 + shifted / 4

    def _mirrored(self, x: Tensor) -> Tensor:
        return (self._logits(x) + self._logits(x.flip(-1))) / 2

    def _logits(self, x: Tensor) -> Tensor:
        x = F.gelu(F.conv2d(x, self.whitening, self.whitening_bias))
        for group in self.groups:
            x = group(x)
        logits: Tensor = self.head(x.amax((2, 3))) / 9  # as published
        return logits

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def whiten(self, x: Tensor) -> None:
        """Sets the first layer to the patches' principal components, scaled to variance 1.

        Each component is used with both signs, since GELU suppresses negative values. Only the
        first call has an effect.

        Args:
            x: the images of the first batch, as for `forward`.
        """
        if not self.must_whiten:
            return
        with torch.autocast(x.device.type, enabled=False):
            patches = F.unfold(x.float(), 2).transpose(1, 2).flatten(0, 1)
            # In TF32, small variances would become negative.
            exact = patches if x.device.type == "mps" else patches.double()
            values, vectors = torch.linalg.eigh(exact.T @ exact / len(exact))
            scaled = (vectors / (values.clamp(min=0) + EPS).sqrt()).T.flip(0)
            self.whitening.copy_(torch.cat([scaled, -scaled]).view_as(self.whitening))
        self.whitened.fill_(True)
        self.must_whiten = False


class Group(nn.Module):
    """Convolutions with batch norm and GELU; the first one's output is halved by max pooling.

    Args:
        before: input channels.
        width: output channels.
        depth: number of convolutions.
        momentum: of the batch norm.
    """

    def __init__(self, before: int, width: int, depth: int, momentum: float) -> None:
        super().__init__()
        sizes = [before, *[width] * (depth - 1)]
        self.convs = nn.ModuleList(nn.Conv2d(n, width, 3, padding=1, bias=False) for n in sizes)
        self.norms = nn.ModuleList(FastBias(width, momentum) for _ in sizes)
        for conv in self.convs:
            weight = conv.weight
            assert isinstance(weight, Tensor)
            nn.init.dirac_(weight.data[: weight.shape[1]])

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, before, height, width)` to half the height and width."""
        first, *others = zip(self.convs, self.norms, strict=True)
        x = F.gelu(first[1](F.max_pool2d(first[0](x), 2)))
        start = x
        for i, (conv, norm) in enumerate(others):
            x = norm(conv(x))
            if i > 0 and i == len(others) - 1:
                x = x + start
            x = F.gelu(x)
        return x


class FastBias(nn.Module):
    """Batch norm without a weight, whose bias has a 64 times higher learning rate under SGD.

    An eighth of the bias is stored: so its gradient is eight times larger, and the effect of a
    step is eight times larger again.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, width, height, width)` to the same shape."""
        mean, variance, bias = self.running_mean, self.running_var, 8 * self.bias
        return F.batch_norm(x, mean, variance, None, bias, self.training, self.momentum, 1e-12)


def _remember(model: nn.Module, _: Any) -> None:
    assert isinstance(model, SpeedrunNet)
    model.must_whiten = not bool(model.whitened)
