"""Whole-batch augmentation equals torchvision's for each image."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from arclight.data.order import random_table
from arclight.errors import UserError
from arclight_zoo.pixels.augment import Augment, Finish, _padded, crop, erase, flip, offsets
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.pixels.mixing import mix_batch
from arclight_zoo.pixels.policy import OPERATIONS, apply_operations, apply_policy

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
EVERYTHING = Augment(crop=2, padding="reflect", flip=True, policy="trivial", erase=0.5)


def images(n: int = 64, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    noise = torch.rand(n, channels, height, width, generator=generator)
    return ((0.8 * smooth + 0.2 * noise) * 255).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("padding", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_crop_matches_torchvision(padding: str, mode: str, channels: int) -> None:
    x = images(81, channels, 16, 12)
    top, left = torch.arange(9).repeat(9), torch.arange(9).repeat_interleave(9)
    result = crop(x, top, left, 4, padding)
    padded = tv.pad(x, [4, 4], padding_mode=mode)
    for i in range(81):
        one = tv.crop(padded[i], int(top[i]), int(left[i]), 16, 12)
        assert torch.equal(result[i], one)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("reach", [1, 7, 8, 9, 30])
def test_padding_on_an_accelerator_matches_numpy(padding: str, reach: int) -> None:
    x = images(2, 3, 8, 1)
    border = ((0, 0), (0, 0), (reach, reach), (reach, reach))
    mode: Any = "constant" if padding == "zeros" else padding
    assert torch.equal(_padded(x, reach, padding), torch.from_numpy(np.pad(x, border, mode)))


def test_offsets_cover_every_place_equally() -> None:
    top, left = offsets(torch.linspace(0, 1, 9001)[:-1, None].expand(-1, 2), 4)
    assert set(torch.bincount(top).tolist()) <= {999, 1000, 1001}  # rounding
    assert torch.equal(top, left)
    assert offsets(torch.full((1, 2), 1 - 2**-24), 4)[0].item() == 8


def test_flip_matches_torchvision() -> None:
    x = images(4)
    result = flip(x, torch.tensor([True, False, True, False]))
    assert torch.equal(result[0], tv.horizontal_flip(x[0]))
    assert torch.equal(result[1], x[1])
    assert torch.equal(result[2], tv.horizontal_flip(x[2]))


def test_an_alternating_flip_shows_both_sides_in_two_epochs() -> None:
    x, finish = images(40), Finish(Normalise(MEAN, STD), 10, Augment(flip="alternating"))
    labels = torch.zeros(40, dtype=torch.long)
    first, second, third = (finish(x, labels, random_table(0, e, 40))[0] for e in range(3))
    assert torch.equal(second, first.flip(-1))
    assert torch.equal(third, first)
    plain = Normalise(MEAN, STD)(x)
    same = (first == plain).flatten(1).all(1)
    assert 0 < same.sum() < 40
    assert torch.equal(first[~same], plain[~same].flip(-1))


def test_normalise_matches_torchvision() -> None:
    expected = tv.normalize(tv.to_dtype(images(), torch.float32, scale=True), MEAN, STD)
    torch.testing.assert_close(Normalise(MEAN, STD)(images()), expected)


def test_erase_sets_one_rectangle_of_the_wanted_area() -> None:
    u = random_table(0, 0, 500)[:, :5]
    erased = erase(torch.ones(500, 1, 32, 32), u, 0.4)[:, 0] == 0
    chosen = u[:, 0] < 0.4
    assert torch.equal(erased.any((1, 2)), chosen)
    share = erased.float().mean((1, 2))[chosen]
    assert 0.01 < share.min() < 0.05
    assert 0.28 < share.max() < 0.35
    for mask in erased[chosen][:50]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None])
        assert rows.nonzero().diff(dim=0).unique().tolist() in ([], [1])


OF_TORCHVISION = {
    "shear_x": lambda x, m: _affine(x, shear=[_degrees(m), 0.0], center=[0, 0]),
    "shear_y": lambda x, m: _affine(x, shear=[0.0, _degrees(m)], center=[0, 0]),
    "translate_x": lambda x, m: _affine(x, translate=[int(m), 0]),
    "translate_y": lambda x, m: _affine(x, translate=[0, int(m)]),
    "rotate": lambda x, m: tv.rotate(x, m),
    "brightness": lambda x, m: tv.adjust_brightness(x, 1 + m),
    "color": lambda x, m: tv.adjust_saturation(x, 1 + m),
    "contrast": lambda x, m: tv.adjust_contrast(x, 1 + m),
    "sharpness": lambda x, m: tv.adjust_sharpness(x, 1 + m),
    "posterize": lambda x, m: tv.posterize(x, int(m)),
    "solarize": lambda x, m: tv.solarize(x, m),
    "autocontrast": lambda x, _: tv.autocontrast(x),
    "equalize": lambda x, _: tv.equalize(x),
    "identity": lambda x, _: x,
}


def _degrees(slope: float) -> float:
    return float(torch.rad2deg(torch.atan(torch.tensor(slope))))


def _affine(x: Tensor, **given: list[float]) -> Tensor:
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return tv.affine(x, **{**still, **given})


STRENGTHS = {
    **dict.fromkeys(("shear_x", "shear_y"), (-0.9, -0.3, 0.15, 0.77)),
    **dict.fromkeys(("translate_x", "translate_y"), (-16.0, -3.0, 1.0, 5.0)),
    "rotate": (-117.0, -30.0, 9.0, 60.0),
    **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (-0.99, -0.3, 0.2, 0.9)),
    "posterize": (2.0, 5.0, 7.0, 8.0),
    "solarize": (0.0, 42.5, 127.5, 255.0),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_matches_torchvision(name: str, channels: int) -> None:
    x = images(8, channels, 16, 20)
    x[7] = 93  # a flat image: no contrast to stretch
    strengths = torch.tensor(STRENGTHS.get(name, (0.0, 0.0, 0.0, 0.0))).repeat(2)
    result = apply_operations(x, torch.full((8,), OPERATIONS.index(name)), strengths)
    for i in range(8):
        one = OF_TORCHVISION[name](x[i], float(strengths[i]))
        different = (result[i].int() - one.int()).abs()
        # Rounding may move a pixel that lies between two, or a shade by one.
        assert (different > 1).float().mean() < 0.01, (name, float(strengths[i]))


class Asked(TorchDispatchMode):
    """Records the dispatched torch operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_no_matrix_product_is_used() -> None:
    """TF32's ten bits would move pixels and change shades."""
    ops = torch.arange(len(OPERATIONS)).repeat(2)
    with Asked() as asked:
        apply_operations(images(len(ops)), ops, torch.full((len(ops),), 0.5))
    assert not asked.names & {"mm", "bmm", "addmm", "convolution"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_host_synchronisation() -> None:
    x, rows = images(300), random_table(0, 0, 300)[:, :8]
    there = x.cuda()
    apply_policy(there, rows, "trivial")  # the first allocation of each kind may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = apply_policy(there, rows, "trivial")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    different = (result.cpu().int() - apply_policy(x, rows, "trivial").int()).abs()
    assert (different > 1).float().mean() < 0.01


@pytest.mark.parametrize("policy", ["trivial", "randaugment"])
def test_policy_uses_every_operation(policy: str) -> None:
    x = images(300)
    result = apply_policy(x, random_table(0, 0, 300)[:, :8], policy)
    assert result.shape == x.shape
    assert result.dtype == torch.uint8
    changed = (result != x).flatten(1).any(1).float().mean()
    assert 0.7 < changed < 1


def test_augmentation_does_not_depend_on_the_batch() -> None:
    x, labels, rows = images(), torch.arange(64) % 10, random_table(0, 0, 64)
    finish = Finish(Normalise(MEAN, STD), 10, EVERYTHING)
    whole, _ = finish(x, labels, rows)
    assert not torch.equal(whole, Normalise(MEAN, STD)(x))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for part in order.split(5):
        some, _ = finish(x[part], labels[part], rows[part])
        torch.testing.assert_close(some, whole[part], rtol=0, atol=0)


def test_without_augmentation_rows_are_not_needed() -> None:
    for augment in (None, Augment(), Augment(padding="reflect")):
        finish = Finish(Normalise(MEAN, STD), 10, augment)
        x, y = finish(images(), torch.zeros(64).long(), None)
        assert torch.equal(x, Normalise(MEAN, STD)(images()))
        assert y.dtype == torch.long


def test_mixup_blends_an_image_with_its_neighbour() -> None:
    x, y = torch.rand(50, 3, 8, 8), torch.eye(50)
    u = random_table(0, 0, 50)[:, :5]
    mixed, targets = mix_batch(x, y, u, mixup=1.0, cutmix=0.0)
    share = u[:, 0]  # Beta(1, 1) is uniform
    expected = share[:, None, None, None] * x + (1 - share)[:, None, None, None] * x.roll(1, 0)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(targets.diagonal(), share)
    torch.testing.assert_close(targets.sum(1), torch.ones(50))


def test_a_small_alpha_mixes_little() -> None:
    u = random_table(0, 0, 2000)[:, :5]
    x, y = torch.zeros(2000, 1, 2, 2), torch.zeros(2000, 2)
    y[::2, 0], y[1::2, 1] = 1.0, 1.0
    _, targets = mix_batch(x, y, u, mixup=0.2, cutmix=0.0)
    strongest = targets.max(1).values
    assert (strongest > 0.99).float().mean() > 0.4
    assert abs(float(targets[::2, 0].mean()) - 0.5) < 0.05


def test_cutmix_pastes_a_box_and_counts_its_pixels() -> None:
    x = torch.arange(40.0)[:, None, None, None].expand(-1, 1, 16, 16)
    mixed, targets = mix_batch(x, torch.eye(40), random_table(0, 0, 40)[:, :5], 0.0, 1.0)
    for i in range(40):
        own = mixed[i, 0] == i
        assert torch.equal(~own, mixed[i, 0] == (i - 1) % 40)
        rows, columns = (~own).any(1), (~own).any(0)
        assert torch.equal(~own, rows[:, None] & columns[None])
        torch.testing.assert_close(targets[i, i], own.float().mean())


def test_mixup_and_cutmix_share_the_images() -> None:
    finish = Finish(Normalise(MEAN, STD), 7, Augment(mixup=0.5, cutmix=1.0))
    x, y = finish(images(), torch.arange(64) % 7, random_table(0, 0, 64))
    assert x.shape == (64, 3, 16, 16)
    assert y.shape == (64, 7)
    torch.testing.assert_close(y.sum(1), torch.ones(64))


@pytest.mark.parametrize(("mixup", "cutmix"), [(1.0, 0.0), (0.0, 1.0), (0.5, 1.0)])
def test_some_images_are_left_unmixed(mixup: float, cutmix: float) -> None:
    x, u = torch.rand(400, 1, 8, 8), random_table(0, 0, 400)[:, :5]
    mixed, targets = mix_batch(x, torch.eye(400), u, mixup, cutmix, 0.25)
    all_mixed, all_targets = mix_batch(x, torch.eye(400), u, mixup, cutmix)
    chosen = u[:, 4] < 0.25
    assert 60 < chosen.sum() < 140
    assert torch.equal(mixed[chosen], all_mixed[chosen])
    assert torch.equal(targets[chosen], all_targets[chosen])
    assert torch.equal(mixed[~chosen], x[~chosen])
    assert torch.equal(targets[~chosen], torch.eye(400)[~chosen])


def test_numbers_out_of_range_are_rejected() -> None:
    with pytest.raises(UserError, match=r"data\.augment\.crop=-1 should be 0 \(none\) or more\."):
        Augment(crop=-1)
    with pytest.raises(UserError, match=r"data\.augment\.erase=2 should be between 0 .* and 1\."):
        Augment(erase=2)
