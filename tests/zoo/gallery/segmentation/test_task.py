"""Segmentation: metrics equal torchmetrics', and predictions are masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.use.predict import predict
from arclight_zoo.gallery.segmentation.data import UNLABELLED
from arclight_zoo.gallery.segmentation.task import Segmentation, dice_loss
from arclight_zoo.gallery.segmentation.unet import UNet
from arclight_zoo.pixels.image_facts import ImageFacts
from tests.conftest import Composed
from tests.zoo.gallery.segmentation.test_data import folder_of

CLASSES = 5
UNUSED: Any = lambda *_: None  # noqa: E731
FACTS = ImageFacts(
    sizes={}, fingerprint="", num_classes=CLASSES, class_names=list("abcde"), image_size=8,
    channels=1, mean=[0.5], std=[0.5], class_counts=[1] * CLASSES,
)  # fmt: skip


class Said(nn.Module):
    """Returns its input as logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_metrics_match_torchmetrics() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(7, CLASSES, 8, 8, generator=draw)
    masks = torch.randint(CLASSES, (7, 8, 8), generator=draw)
    masks[:, :2] = UNLABELLED
    metrics: Any = {"top2": MulticlassAccuracy(CLASSES, top_k=2, average="micro")}
    task = Segmentation(Said(), FACTS, UNUSED, UNUSED, metrics=metrics)
    for cut in (slice(0, 4), slice(4, 7)):
        task.validation_step((logits[cut], masks[cut]), 0)
    found = task._evaluated("val")
    once: Any = {"ignore_index": UNLABELLED}
    jaccard = MulticlassJaccardIndex(CLASSES, **once)(logits, masks)
    assert found["val/miou"] == pytest.approx(float(jaccard))
    accuracy = MulticlassAccuracy(CLASSES, average="micro", **once)(logits, masks)
    assert found["val/accuracy"] == pytest.approx(float(accuracy))
    assert found["val/loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, masks)))
    top2 = MulticlassAccuracy(CLASSES, top_k=2, average="micro", **once)(logits, masks)
    assert float(found["val/top2"]) == pytest.approx(float(top2))


def test_dice_is_small_for_correct_masks() -> None:
    masks = torch.randint(CLASSES, (2, 8, 8))
    right = 20.0 * nn.functional.one_hot(masks, CLASSES).movedim(-1, 1)
    assert dice_loss(right, masks) < 0.01 < dice_loss(-right, masks)
    assert dice_loss(right, torch.full_like(masks, UNLABELLED)) == 0


def test_unet_rejects_sizes_that_it_cannot_halve() -> None:
    net = UNet(3, in_channels=1, widths=[4, 8, 8])
    assert net(torch.randn(2, 1, 12, 8)).shape == (2, 3, 12, 8)
    with pytest.raises(UserError, match=r"An image of 10x8 cannot be halved 2 times: type"):
        net(torch.randn(2, 1, 10, 8))


def test_predicted_masks_have_the_size_of_the_image(composed: Composed, tmp_path: Path) -> None:
    config = composed(
        "experiment=segmentation", "data=masks_folder", f"data.path={folder_of(tmp_path / 'set')}",
        "data.image_size=8", "data.batch_size=4", "model.widths=[4]", "trainer.max_epochs=1",
        "preflight=false",
    )  # fmt: skip
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    (tmp_path / "new" / "deep").mkdir(parents=True)
    Image.new("RGB", (30, 20), (9, 99, 199)).save(tmp_path / "new" / "deep" / "a.jpg")
    (tmp_path / "new" / "b.png").write_bytes(b"nothing")
    output = tmp_path / "answers.csv"
    with pytest.raises(UserError, match="1 of 2 inputs cannot be read"):
        predict(str(run.path), str(tmp_path / "new"), str(output))
    header, bad, row = (line.split(",") for line in output.read_text().splitlines())
    assert header == ["file", "mask", "0", "1", "2", "3"]
    assert bad[1:] == [""] * 5
    assert row[1] == str(tmp_path / "answers" / "deep" / "a.png")
    with Image.open(row[1]) as mask:
        assert (mask.mode, mask.size) == ("P", (30, 20))
        shares = np.bincount(np.array(mask).ravel(), minlength=4) / 600
    assert sum(map(float, row[2:])) == pytest.approx(1, abs=1e-5)
    assert np.argmax(shares) == np.argmax([float(share) for share in row[2:]])
