"""Blocks are found in every model, and compiling changes neither names nor what is saved."""

import shutil
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from arclight.costs.timing import PHASES
from arclight.errors import UserError
from arclight.models.blocks import find_blocks
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.training.checkpoint_files import read
from arclight.training.compilation import Compile, CompileClock, compile_model, compile_task
from arclight.training.loggers import read_metrics
from arclight.use.evaluate import evaluate
from arclight_zoo.image.backbones import timm_model
from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.image.speedrun import SpeedrunNet
from arclight_zoo.image.vit import ViT
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.text.gpt import GPT
from arclight_zoo.text.language_modelling import LanguageModelling
from arclight_zoo.tokens.text_facts import TextFacts
from tests.conftest import Composed

MODELS = {
    "ViT": (lambda: ViT(8, 2, 10, 16, 2, 3, in_channels=1), 3, "TransformerBlock"),
    "GPT": (lambda: GPT(11, 8, 16, 2, 2), 2, "TransformerBlock"),
    "timm ViT": (lambda: timm_model("vit_tiny_patch16_224", 10), 12, "Block"),
    "timm ConvNeXt": (lambda: timm_model("convnext_atto", 10), 12, "ConvNeXtBlock"),
    "timm ResNet": (lambda: timm_model("resnet18", 10), 8, "BasicBlock"),
    "timm Swin": (lambda: timm_model("swin_tiny_patch4_window7_224", 10), 12, None),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_blocks_of_a_model_are_found(name: str) -> None:
    make, count, kind = MODELS[name]
    blocks = find_blocks(make())
    assert len(blocks) == count
    assert kind is None or {type(b).__name__ for b in blocks} == {kind}


def test_compiling_blocks_of_a_model_without_blocks_is_a_user_error() -> None:
    with pytest.raises(UserError, match="type compile=whole"):
        compile_model(nn.Sequential(nn.Linear(2, 2)), "blocks")


def test_cudagraphs_do_not_accumulate_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    model = nn.Sequential(nn.Linear(2, 2))
    monkeypatch.setattr(model, "compile", lambda mode: asked.append(mode))
    for accumulated in (False, True):
        compile_model(model, "max-autotune", accumulated)
    assert asked == ["max-autotune", "max-autotune-no-cudagraphs"]
    with pytest.raises(UserError, match=r"type trainer\.accumulate_grad_batches=1"):
        compile_model(model, "cudagraphs", accumulated=True)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What torch.compile has made of the code, which runs uncompiled so that no time is lost."""
    made: list[Any] = []

    def keep(graph: Any, inputs: Any) -> Any:
        made.append(graph)
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: real(*a, **{**k, "backend": keep}))
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8, accumulated_recompile_limit=256):
        yield made
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides its own
def test_blocks_with_other_dropout_rates_share_graphs(graphs: list[Any]) -> None:
    model = ViT(8, 2, 10, 16, 2, 12, drop_path=0.1, norm_first=True)
    compile_model(model, "blocks")
    model(torch.randn(4, 3, 8, 8)).sum().backward()
    assert len(graphs) == 2  # of the first block, which drops nothing, and of all others


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides its own
def test_blocks_of_many_sizes_are_all_compiled(graphs: list[Any]) -> None:
    model = nn.Module()
    model.blocks = nn.ModuleList(nn.Sequential(nn.Linear(n, n + 1)) for n in range(1, 13))
    model.forward = lambda x: reduce(lambda y, block: block(y), model.blocks, x)
    compile_model(model, "blocks")
    for batch in (4, 3):  # the last batch is smaller
        with torch.set_grad_enabled(batch == 4):
            model(torch.randn(batch, 1))
    assert len({id(graph) for graph in graphs}) >= 24


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides its own
@pytest.mark.parametrize("how", [False, "whole", "blocks"])
def test_a_loss_over_a_vocabulary_is_compiled_too(graphs: list[Any], how: Compile) -> None:
    facts = TextFacts(sizes={}, fingerprint="", vocab_size=9, context=4)
    unused: Any = lambda *_: None  # noqa: E731
    task = LanguageModelling(GPT(9, 4, 8, 2, 1), facts, unused, unused).eval()
    tokens = torch.randint(9, (2, 4))
    expected, names = task.training_step((tokens, tokens), 0), list(task.state_dict())
    compile_task(task, how)
    torch.testing.assert_close(task.training_step((tokens, tokens), 0), expected)
    compiled = [node.target for graph in graphs for node in graph.graph.nodes]
    assert (F.cross_entropy in compiled) == (how is not False)
    assert list(task.state_dict()) == names


def test_a_whitened_network_is_one_graph(graphs: list[Any]) -> None:
    model, images = SpeedrunNet(5, widths=[8, 8, 8]), torch.randn(4, 3, 16, 16)
    known: Any = {"class_names": [], "image_size": 16, "channels": 3, "mean": [], "std": []}
    facts = ImageFacts(**known, sizes={}, fingerprint="", num_classes=5)
    unused: Any = lambda *_: None  # noqa: E731
    task = ImageClassification(model, facts, unused, unused)
    compile_task(task, "whole")
    for i in range(2):
        task.on_train_batch_start((images, images), i)
        model(images)
    assert bool(model.whitened)
    assert len(graphs) == 1


def test_compile_time_is_measured_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, now, compiled = CompileClock(), 0.0, 0
    monkeypatch.setattr("arclight.training.compilation.time.perf_counter", lambda: now)
    monkeypatch.setattr("arclight.training.compilation.graphs_so_far", lambda: compiled)
    assert clock.seconds == 0
    for seconds, graphs in ((20, 1), (2, 0), (2, 0), (32, 1)):
        clock.on_train_batch_start()
        now, compiled = now + seconds, compiled + graphs
        clock.on_train_batch_end()
        now += 100  # between steps, where nothing is compiled
    assert clock.seconds == 18 + 30
    clock.on_validation_batch_start()
    now, compiled = now + 5, compiled + 1
    clock.on_validation_batch_end()
    assert clock.seconds == 18 + 30 + 5


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides its own
def test_the_summary_excludes_compile_time(
    graphs: list[Any], composed: Composed, tmp_path: Path
) -> None:
    words = ("model=cnn", "data.limit=64", "data.batch_size=8", "trainer.max_steps=8")
    words += ("trainer.log_every_n_steps=2", "compile=whole", "preflight=false")
    run = create(tmp_path / "run", tmp_path, "run", composed(*words), [], {})
    assert execute(run) == 0
    assert graphs
    rows = [float(r["cost/step_ms"]) for r in read_metrics(run.metrics_file) if r.get("lr")]
    costs = run.summary["costs"]
    mean = sum(value for name, value in costs.items() if name[:-3] in PHASES)
    assert len(rows) == 4
    assert mean == pytest.approx(sum(rows[1:]) / len(rows[1:]), rel=1e-3)
    assert 0 < run.summary["compile_seconds"] < run.summary["training_seconds"]


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("g++"), reason="a CPU's kernels are compiled by a C++ compiler"
)
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own doings
@pytest.mark.parametrize("how", ["whole", "blocks"])
def test_a_compiled_run_is_an_ordinary_one(composed: Composed, tmp_path: Path, how: str) -> None:
    words = ("model=vit", "model.d_model=16", "model.n_layers=2", "model.dropout=0")
    words += ("data.limit=64", "data.batch_size=16", "trainer.max_epochs=1")
    words += ("optimizer.eps=1e-4",)  # tiny gradients of either sign give tiny steps
    plain, compiled = (
        create(tmp_path / str(c), tmp_path, "run", composed(*words, f"compile={c}"), [], {})
        for c in ("false", how)
    )
    assert execute(plain) == 0
    assert execute(compiled) == 0
    expected, found = (read(r.checkpoints / "last.ckpt") for r in (plain, compiled))
    assert list(found["state_dict"]) == list(expected["state_dict"])
    for name, weight in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][name], weight, rtol=1e-3, atol=1e-4)
    figures = evaluate(str(compiled.path))
    assert figures["test/loss"] == pytest.approx(compiled.summary["metrics"]["test/loss"], 1e-4)
