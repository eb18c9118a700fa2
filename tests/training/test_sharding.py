"""A run sharded over two processes equals one on a single process, and resumes exactly."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.training.trainer import make_trainer
from arclight.use.consolidate import consolidate
from arclight.use.evaluate import evaluate
from tests.conftest import Composed
from tests.run.test_exact_resume import assert_equal, outcome

SMALL = (
    "model=vit",
    "model.d_model=16",
    "model.n_layers=2",
    "model.dropout=0.1",
    "data.limit=96",
    "data.batch_size=16",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "callbacks.checkpoints.every_n_steps=4",
)


def finished(composed: Composed, path: Path, *words: str) -> RunDirectory:
    run = create(path, path.parent, "run", composed(*SMALL, *words), [], {"command": "test"})
    assert execute(run) == 0
    return run


def again_from_the_one_before(run: RunDirectory, path: Path) -> RunDirectory:
    """A copy of the run as a kill at its last but one checkpoint leaves it, executed to the end."""
    shutil.copytree(run.path, path)
    copy = RunDirectory(path)
    (copy.checkpoints / "previous.ckpt").replace(copy.checkpoints / "last.ckpt")
    assert read(copy.checkpoints / "last.ckpt")["global_step"] == 8
    copy.update_summary(status="running")
    assert execute(copy) == 0
    assert copy.summary["times_resumed"] == 1
    return copy


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read(run.checkpoints / "last.ckpt")["state_dict"]
    return state


def assert_close(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_it_resumes_exactly_and_every_command_reads_it(
    composed: Composed, tmp_path: Path, sharded: bool
) -> None:
    words = ("trainer=fsdp_cpu", f"trainer.sharded_checkpoints={str(sharded).lower()}")
    run = finished(composed, tmp_path / "undisturbed", *words)
    copy = again_from_the_one_before(run, tmp_path / "resumed")
    expected, found = outcome(run), outcome(copy)
    assert_equal(found, expected)
    figures = evaluate(str(run.path))  # one process, the whole model
    assert figures["test/loss"] == pytest.approx(run.summary["metrics"]["test/loss"], rel=1e-5)
    shards = [f for f in run.checkpoints.iterdir() if f.is_dir()]
    assert bool(shards) == sharded
    if sharded:
        named = {read(f)["shards"] for f in run.checkpoints.glob("*.ckpt")}
        assert {f.name for f in shards} == named  # what no file names is gone
        plain = torch.load(consolidate(str(run.path)), weights_only=True)
        assert_equal(plain["state_dict"], read(run.checkpoints / "best.ckpt")["state_dict"])
        with pytest.raises(UserError, match="a single file already"):
            consolidate(str(run.path), str(run.checkpoints / "consolidated.ckpt"))
        damage_and_continue(run)


def damage_and_continue(run: RunDirectory) -> None:
    """A flipped bit in a shard is detected, and the previous checkpoint is used."""
    last = read(run.checkpoints / "last.ckpt")
    shard = run.checkpoints / last["shards"] / "__0_0.distcp"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    run.update_summary(status="interrupted")
    assert execute(run) == 0
    assert "__0_0.distcp, a part of last.ckpt, is missing or damaged" in run.log_file.read_text()
    assert_equal(read(run.checkpoints / "last.ckpt")["state_dict"], last["state_dict"])


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp_cpu"])
def test_two_processes_train_like_one(composed: Composed, tmp_path: Path, trainer: str) -> None:
    """The batch is the whole step's, so the learning rate means the same on any number of them."""
    same = ("model.dropout=0", "data.augment.crop=1", "optimizer.eps=1e-4")
    one = finished(composed, tmp_path / "one", *same)
    parts = finished(composed, tmp_path / "accumulated", *same, "trainer.accumulate_grad_batches=2")
    two = finished(composed, tmp_path / "two", *same, f"trainer={trainer}")
    assert_close(weights(two), weights(one))
    assert_close(weights(parts), weights(one))
    assert "16 = 2 processes x 8" in two.log_file.read_text()
    assert "16 = 8 x 2 accumulated" in parts.log_file.read_text()


MODELS = ("gpt", "t5", "blip", "cnn", "timm", "llama", "bert")
ONE = ("trainer=fsdp_cpu", "trainer.devices=1", "data.limit=8", "data.batch_size=4")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_model_is_sharded(composed: Composed, tmp_path: Path, model: str) -> None:
    """On one process, which uses the same code as several."""
    config = composed(f"model={model}", *ONE, "trainer.max_epochs=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {"command": "test"})
    assert execute(run) == 0


WAYS = {
    "bf16": ("trainer.precision=bf16-mixed",),
    "bf16 and batch norm": ("model=cnn", "trainer.precision=bf16-mixed"),
    "asynchronous": ("callbacks.checkpoints.asynchronous=true",),
    "checkpointed activations": ("model=gpt", "model.activation_checkpointing=true"),
    "skipping": ("on_nonfinite=skip",),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_fsdp_works_with(composed: Composed, tmp_path: Path, way: str) -> None:
    config = composed("model=vit", *ONE, *WAYS[way], "trainer.max_epochs=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {"command": "test"})
    assert execute(run) == 0


def test_a_scalar_parameter_is_a_user_error(composed: Composed, tmp_path: Path) -> None:
    config = composed("model=clip", *ONE, "trainer.max_epochs=1")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {"command": "test"})
    assert execute(run) == 2
    assert "type trainer.strategy=ddp" in run.summary["error"]


REFUSED = {
    "callbacks.ema.decay": {"ema": True},
    "trainer.precision=16-mixed": {"precision": "16-mixed", "accelerator": "gpu"},
}


@pytest.mark.parametrize("fault", REFUSED)
def test_unsupported_settings_are_user_errors(tmp_path: Path, fault: str) -> None:
    from arclight.training.callbacks import ema

    words = dict(REFUSED[fault])
    average = ema(0.9) if words.pop("ema", False) else None
    callbacks = [average] if average else []
    with pytest.raises(UserError, match=fault):
        make_trainer(tmp_path, callbacks, [], False, strategy="fsdp", **words)  # type: ignore[arg-type]


def test_sharded_checkpoints_need_fsdp(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.strategy=fsdp"):
        make_trainer(tmp_path, [], [], False, sharded_checkpoints=True)
