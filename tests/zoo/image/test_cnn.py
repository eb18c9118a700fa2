from collections.abc import Sequence

import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.image.cnn import CNN
from tests.zoo import reference


def test_reference_weights_give_the_reference_logits() -> None:
    theirs = reference.CNN(7).train()
    theirs(torch.randn(8, 3, 16, 16))  # batch norm statistics that are not the initial ones
    ours = CNN(7)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)


def test_a_seed_gives_the_reference_weights() -> None:
    torch.manual_seed(0)
    theirs = reference.CNN().state_dict()
    torch.manual_seed(0)
    ours = CNN().state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_channels_last_gives_the_same_logits() -> None:
    model = CNN(in_channels=1).eval()
    x = torch.randn(4, 1, 8, 8)
    expected = model(x)
    model = model.to(memory_format=torch.channels_last)
    got = model(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("widths", [(8,), (8, 16), [4, 8, 12, 16]])
def test_depth_is_the_number_of_widths(widths: Sequence[int]) -> None:
    model = CNN(5, in_channels=2, widths=widths)
    assert model(torch.randn(2, 2, 8, 9)).shape == (2, 5)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in model.modules()) == len(widths)


def test_too_small_images_are_rejected() -> None:
    model = CNN(widths=(8, 8, 8, 8))
    with pytest.raises(UserError, match=r"image of 7x9 is too small .* type data\.image_size=8"):
        model(torch.randn(2, 3, 7, 9))


def test_no_widths_is_an_error() -> None:
    with pytest.raises(UserError, match=r"model\.widths is empty: type model\.widths="):
        CNN(widths=())
