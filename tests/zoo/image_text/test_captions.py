"""The captions of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from arclight.data.order import ROW
from arclight.errors import UserError
from arclight_zoo.image_text.captions import CAPTION, CaptionFinish, captions
from arclight_zoo.image_text.data import CaptionedImages
from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.tokens.ragged import ragged


def data(folder: Path, **options: object) -> CaptionedImages:
    given = {"captions": ["a {}", "one {} here"], "words": [f"w{i}" for i in range(10)]}
    return CaptionedImages(
        "sklearn:digits",
        tokenizer="characters",
        cache=str(folder),
        **{**given, **options},  # type: ignore[arg-type]
    )


def test_batches_have_captions(tmp_path: Path) -> None:
    module = data(tmp_path, batch_size=32)
    module.setup()
    said = set()
    for images, tokens, mask, classes in module.train_dataloader():
        assert len(images) == len(tokens) == len(mask) == len(classes)
        for row, own, label in zip(tokens, mask, classes.tolist(), strict=True):
            text = module.tokenizer.decode(row[own].tolist())
            assert text in (f"a w{label}", f"one w{label} here")
            assert row[own][0] == module.facts.start
            assert row[own][-1] == module.facts.end
            assert (row[~own] == module.facts.pad).all()
            said.add(text)
    assert len(said) == 20
    for _, tokens, mask, classes in module.val_dataloader():  # always the first template
        texts = [module.tokenizer.decode(t[m].tolist()) for t, m in zip(tokens, mask, strict=True)]
        assert texts == [f"a w{label}" for label in classes.tolist()]


def test_the_random_row_chooses_the_caption() -> None:
    texts = ragged(
        np.array([2, 5, 3, 2, 6, 6, 3, 2, 7, 3, 2, 8, 8, 3], dtype=np.int32), np.array([3, 4, 3, 4])
    )
    finish = CaptionFinish(Normalise([0.0], [1.0]), Augment(), captions(texts, 2, pad=0))
    rows = torch.zeros(2, ROW)
    rows[1, CAPTION] = 0.99
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    _, tokens, mask, _ = finish(images, torch.tensor([0, 1]), rows)
    assert tokens.tolist() == [[2, 5, 3, 0], [2, 8, 8, 3]]
    assert mask.tolist() == [[True, True, True, False], [True] * 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"captions": None}, "Captions come from templates or from a column, and none is given"),
        ({"captions": ["a digit"]}, r'template "a digit" of data\.captions has no \{\}'),
        ({"words": ["same"] * 10}, r"data\.words has same for two classes"),
        ({"words": ["zero"]}, r"data\.words has 1 words for the 10 classes"),
        ({"context": 2}, r"data\.context=2 leaves no room"),
        ({"augment": Augment(mixup=0.2)}, r"augment\.mixup=0\.2 mixes two images"),
    ],
)
def test_invalid_data_are_rejected(
    tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        data(tmp_path, **options).setup()
