"""Runs load data, tokenizers and weights from the hub once, and later from the cache."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Image
from transformers import BertModel

from arclight.config.entry import EXIT_USER_ERROR
from arclight.errors import UserError
from arclight.models.pretrained import load_pretrained
from arclight.run.assembly import build_parts
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory
from arclight.training.checkpoints import Checkpoints
from arclight_zoo.pixels.pretrained import pretrained_preprocessing
from arclight_zoo.reading import remote_files
from arclight_zoo.reading.hub import load_splits
from arclight_zoo.tokens import tokenizer as tokenizers
from tests.checkpoints import bert, saved, timm_vit
from tests.conftest import Composed
from tests.hub import Hub, hub, hurried
from tests.pictures import parquet_folder, picture
from tests.run.test_exact_resume import assert_equal, outcome, started
from tests.zoo.pixels.test_resume_shards import TEXT_MODEL
from tests.zoo.pixels.test_resume_shards import shards as texts


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub(tmp_path, monkeypatch) as made:
        for kind in ("datasets", "models"):
            (made.folder / kind / "org").mkdir(parents=True)
        yield made


def offered(served: Hub, kind: str, name: str) -> Path:
    return served.folder / kind / "org" / name


def pictures(folder: Path) -> Path:
    """Images in the layout of CIFAR-10's repository."""

    def encoded(number: int) -> dict[str, Any]:
        content = io.BytesIO()
        picture(number, (8, 8)).save(content, "png")
        return {"bytes": content.getvalue(), "path": None}

    def rows(first: int, count: int) -> dict[str, Any]:
        numbers = range(first, first + count)
        return {"img": list(map(encoded, numbers)), "label": [n % 2 for n in numbers]}

    columns = {"img": Image(), "label": ClassLabel(names=["a", "b"])}
    return parquet_folder(folder, columns, train=rows(0, 24), test=rows(24, 8))


def test_a_second_run_needs_no_hub(served: Hub, composed: Composed, tmp_path: Path) -> None:
    """Text, images, a tokenizer and three kinds of weights."""
    texts(offered(served, "datasets", "texts"))
    pictures(offered(served, "datasets", "pictures"))
    folder = saved(bert, offered(served, "models", "bert"))
    tokenizers.keep(tokenizers.byte_pairs(["some text"], 300), folder)
    vit = saved(timm_vit, offered(served, "models", "vit"))
    text = (
        *(w for w in TEXT_MODEL if "vocab_size" not in w), "data=text_file", "data.path=org/texts",
        "data.tokenizer=org/bert", "data.vocab_size=300",
    )  # fmt: skip
    image = (
        "model=vit", "model.pretrained=org/vit", "model.d_model=128", "model.n_layers=2",
        "model.n_heads=4", "model.patch_size=4", "data=cifar10", "data.path=org/pictures",
        "data.image_size=8",
    )  # fmt: skip

    def built() -> list[Any]:
        folder = tmp_path / str(served.thread.is_alive())
        folder.mkdir()
        parts = [build_parts(composed(*words), folder) for words in (text, image)]
        library = load_pretrained(BertModel, "org/bert")
        weights = [parts[1].task.model.state_dict(), library.state_dict()]
        known = [pretrained_preprocessing("org/bert"), pretrained_preprocessing("org/vit")]
        return [[part.data.facts for part in parts], weights, known]

    before = built()
    assert before[2][1]["image_size"] == 8
    own = {k: v for k, v in before[1][0].items() if "in_proj_weight" in k}
    theirs = torch.cat([v for k, v in _weights(vit).items() if "attn.qkv.weight" in k])
    assert torch.equal(torch.cat(list(own.values())), theirs)
    served.stop()
    after = built()
    assert_equal(after[1:], before[1:])
    assert [f.fingerprint for f in after[0]] == [f.fingerprint for f in before[0]]
    with pytest.raises(UserError, match="org/other is out of reach: no network"):
        load_splits("org/other", None)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_run_resumes_exactly_after_an_outage_of_the_hub(
    served: Hub, composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage during training ends with a message; the resumed run equals an unbroken one."""
    hurried(monkeypatch)
    monkeypatch.setattr(remote_files, "_TRIES", 1)
    monkeypatch.setattr("arclight_zoo.text.text_shards.LANES", 1)  # keeps few blocks in memory
    words: list[Any] = [
        *texts(offered(served, "datasets", "texts")), "data.path=org/texts", "data.batch_size=16",
        "trainer.max_epochs=2", "trainer.log_every_n_steps=2", "data.shuffle_window=1",
        "data.block_mb=0.001", "data.limit=320", "callbacks.checkpoints.every_n_steps=3",
    ]  # fmt: skip
    undisturbed = started(tmp_path / "undisturbed", composed(*words))
    assert execute(undisturbed) == 0
    run = started(tmp_path / "run", composed(*words))
    save = Checkpoints.save

    def save_and_leave(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        trainer.strategy.checkpoint_io.wait()
        if trainer.global_step == 3:
            served.stop()

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_leave)
        assert execute(run) == EXIT_USER_ERROR
    assert run.status == "failed"
    assert "then type the command again, and the run continues" in run.summary["error"]
    assert execute(run) == EXIT_USER_ERROR  # the outage continues
    assert "org/texts is out of reach: no network" in run.summary["error"]
    served.start()
    assert execute(run) == 0
    assert run.summary["steps"] >= 12
    expected = outcome(undisturbed)
    assert_equal(outcome(RunDirectory(run.path)), expected)
