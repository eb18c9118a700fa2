"""The speedrun's network: whitening, fast biases, test-time views."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from arclight.errors import UserError
from arclight_zoo.image.speedrun import FastBias, SpeedrunNet


def small(**options: object) -> SpeedrunNet:
    torch.manual_seed(0)
    return SpeedrunNet(5, widths=[8, 8, 8], **options)  # type: ignore[arg-type]


def smooth(n: int) -> torch.Tensor:
    """Images with similar neighbouring pixels, like photographs."""
    return F.interpolate(torch.randn(n, 3, 8, 8), scale_factor=4, mode="bilinear")


@pytest.mark.parametrize("place", ["meta", "fake"])
def test_meta_and_fake_batches_do_not_whiten(place: str) -> None:
    model, images = small(), smooth(4)
    before = model.whitening.clone()
    with FakeTensorMode(allow_non_fake_inputs=True) if place == "fake" else torch.device("meta"):
        blank = torch.zeros(images.shape)
        lent = {k: torch.zeros(v.shape) for k, v in model.state_dict().items()}
        torch.func.functional_call(model, lent, (blank,))
    assert torch.equal(model.whitening, before)
    model(images)
    assert bool(model.whitened)
    assert not torch.equal(model.whitening, before)


def test_the_first_batch_whitens_unless_weights_were_loaded() -> None:
    model, images = small(), smooth(64)
    model(images)
    half = len(model.whitening) // 2
    made = F.conv2d(images, model.whitening[:half]).transpose(0, 1).flatten(1)
    raw = F.unfold(images, 2).transpose(0, 1).flatten(1)
    wide, spread = (m.square().mean(1) for m in (made, raw))
    assert spread.min() > 0.1
    assert (wide < 1.01).all()  # EPS keeps components of low variance below 1
    assert wide[0] == pytest.approx(1.0, abs=0.01)
    correlation = made @ made.T / made.shape[1]
    assert (correlation - correlation.diag().diag()).abs().max() < 1e-3
    torch.testing.assert_close(model.whitening[half:], -model.whitening[:half])
    again = small()
    again.load_state_dict(model.state_dict())
    again(-3 * smooth(8) + 1)
    assert torch.equal(again.whitening, model.whitening)
    new = small()
    new(-3 * smooth(8) + 1)
    assert not torch.equal(new.whitening, model.whitening)


def test_evaluation_averages_the_views() -> None:
    model, images = small(depth=3), smooth(4)
    model(images)
    model.eval()
    padded = F.pad(images, (1, 1, 1, 1), "reflect")
    model.views = 1
    shifted = [padded[..., :32, :32], padded[..., 2:, 2:]]
    one, *two = (model(x) + model(x.flip(-1)) for x in (images, *shifted))
    model.views = 2
    torch.testing.assert_close(model(images), one / 2)
    model.views = 6
    torch.testing.assert_close(model(images), one / 4 + (two[0] + two[1]) / 8)


def test_the_bias_learns_64_times_as_fast() -> None:
    quick, plain = FastBias(4, 0.1), torch.nn.BatchNorm2d(4)
    x, towards = torch.randn(8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    for norm in (quick, plain):
        optimizer = torch.optim.SGD(norm.parameters(), lr=0.01)
        (norm(x) * towards).sum().backward()
        optimizer.step()
    torch.testing.assert_close(8 * quick.bias, 64 * plain.bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(quick.running_var, plain.running_var)


def test_small_images_are_rejected() -> None:
    with pytest.raises(UserError, match=r"15x20 is too small .*: type data\.image_size=16 or"):
        small()(torch.randn(1, 3, 15, 20))


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
            ],
        ),
    ],
)
def test_patches_of_smooth_images_come_out_with_variance_one(device: str) -> None:
    """The smallest variances are 1e-4 of the largest; in TF32 they would become negative."""
    torch.set_float32_matmul_precision("high")
    shades = torch.rand(64, 3, 1, 1)
    noise = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = (shades * 4 + 0.1 * noise).to(device)
    model = SpeedrunNet().to(device)
    model.whiten(images)
    white = torch.nn.functional.conv2d(images.double(), model.whitening.double())
    assert white.pow(2).mean((0, 2, 3)).cpu() == pytest.approx(1.0, abs=0.06)
