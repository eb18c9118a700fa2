"""BLIP's captions equal those of transformers for the same weights."""

from typing import Any

import torch
from torch import nn

from arclight_zoo.image_text.blip import BLIP
from tests.zoo.image_text.test_tasks import END, PAD, START

SIZES: dict[str, Any] = {
    "image_size": 8,
    "in_channels": 3,
    "patch_size": 4,
    "vocab_size": 20,
    "context": 12,
    "pad": PAD,
    "start": START,
    "end": END,
    "image_d_model": 16,
    "image_n_heads": 2,
    "image_n_layers": 1,
    "text_d_model": 16,
    "text_n_heads": 2,
    "text_n_layers": 1,
}


def shaken(**options: Any) -> BLIP:
    torch.manual_seed(0)
    model = BLIP(**{**SIZES, **options})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def test_captions_match_transformers() -> None:
    model, images = shaken(), torch.randn(6, 3, 8, 8)
    ours = model.generate(images, 8, END)
    theirs = model.net.generate(pixel_values=images, max_new_tokens=8, do_sample=False)
    for mine, row in zip(ours.tolist(), theirs.tolist(), strict=True):
        said = row[1:] if row[0] == START else row
        length = said.index(END) + 1 if END in said else min(8, len(said))
        assert mine[:length] == said[:length]
        assert set(mine[length:]) <= {END}
    assert len(set(map(tuple, ours.tolist()))) > 1  # the image matters


def test_the_cache_does_not_change_captions() -> None:
    model, images = shaken(), torch.randn(2, 3, 8, 8)
    made = model.generate(images, 6, END)
    tokens = torch.cat([torch.full((2, 1), START), made[:, :-1]], dim=1)
    with torch.inference_mode():
        again = model(images, tokens, torch.ones_like(tokens, dtype=torch.bool)).argmax(-1)
    before_end = (made == END).cumsum(1).sub((made == END).long()) == 0
    assert torch.equal(made[before_end], again[before_end])


def test_logits_are_causal_and_grey_images_work() -> None:
    model = shaken(in_channels=1)
    images, tokens = torch.randn(1, 1, 8, 8), torch.tensor([[START, 5, 6, 7]])
    changed = torch.tensor([[START, 5, 9, 9]])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    with torch.inference_mode():
        before, after = model(images, tokens, mask), model(images, changed, mask)
        other = model(-images, tokens, mask)
    torch.testing.assert_close(before[:, :2], after[:, :2], rtol=1e-4, atol=1e-5)
    assert (before[:, 2:] - after[:, 2:]).abs().max() > 1e-2
    assert (before - other).abs().max() > 1e-2
