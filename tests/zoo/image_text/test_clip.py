"""CLIP equals transformers' CLIP for the same weights."""

from typing import Any

import pytest
import torch
from torch import nn

from arclight.errors import UserError
from arclight_zoo.image_text.clip import CLIP
from arclight_zoo.image_text.contrastive import Contrastive
from tests.zoo.image_text.test_tasks import END, PAD, START, UNUSED, facts

SIZES: dict[str, Any] = {
    "image_size": 8,
    "in_channels": 3,
    "patch_size": 4,
    "vocab_size": 10,
    "context": 5,
    "pad": PAD,
    "end": END,
    "image_d_model": 16,
    "image_n_heads": 2,
    "image_n_layers": 1,
    "text_d_model": 12,
    "text_n_heads": 2,
    "text_n_layers": 1,
    "projection": 6,
}
TOKENS = torch.tensor([[START, 5, END, PAD, PAD], [START, 6, 7, 8, END], [START, 9, 4, END, PAD]])


def shaken(**options: Any) -> CLIP:
    torch.manual_seed(0)
    model = CLIP(**{**SIZES, **options})
    for parameter in model.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter, std=0.3)
    return model


def test_the_loss_matches_transformers() -> None:
    model, images = shaken(), torch.randn(3, 3, 8, 8)
    mask = TOKENS != PAD
    theirs = model.net(
        input_ids=TOKENS, pixel_values=images, attention_mask=mask.long(), return_loss=True
    )
    task = Contrastive(model, facts(), UNUSED, UNUSED)
    loss = task.training_step((images, TOKENS, mask, torch.arange(3)), 0)
    torch.testing.assert_close(loss, theirs.loss, rtol=1e-5, atol=1e-5)
    image, text, _ = model(images, TOKENS, mask)
    torch.testing.assert_close(image, theirs.image_embeds, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(text, theirs.text_embeds, rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing() -> None:
    model = shaken().eval()
    alone = model.embed_texts(TOKENS[:1, :3], TOKENS[:1, :3] != PAD)
    filled = model.embed_texts(TOKENS, TOKENS != PAD)[:1]
    torch.testing.assert_close(alone, filled, rtol=1e-5, atol=1e-6)


def test_the_temperature_is_learnt_and_has_a_floor() -> None:
    model = shaken(temperature=0.01)
    assert model.net.logit_scale.exp().item() == pytest.approx(100.0, rel=1e-4)
    model.net.logit_scale.data.fill_(9.0)
    assert model.train().scale().item() == pytest.approx(100.0, rel=1e-4)
    model.scale().backward()
    assert model.net.logit_scale.grad is not None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patch_size": 3}, r"patch_size=3 does not divide images of 8 pixels: type model\.patch"),
        ({"text_n_heads": 5}, r"text_d_model=12 does not divide into model\.text_n_heads=5 heads"),
    ],
)
def test_errors_say_what_to_type(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        shaken(**options)
