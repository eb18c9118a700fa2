"""Which weights are trained, and with which learning rate."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from arclight.config.build import build
from arclight.errors import UserError
from arclight.models.heads import find_head
from arclight.run.assembly import load_task
from arclight.run.execute import execute
from arclight.run.weights import build_model
from arclight.run_directory import create
from arclight.tasks.task import Task
from arclight.training.checkpoint_files import read
from arclight.training.finetune import head_only, lora, merge_adapters
from arclight.training.optimizers import decay_groups
from arclight_zoo.image.cnn import CNN
from arclight_zoo.image.speedrun import SpeedrunNet
from arclight_zoo.image.vit import ViT
from arclight_zoo.text.gpt import GPT
from arclight_zoo.text.llama import Llama
from tests.conftest import Composed

UNUSED: Any = lambda *_: None  # noqa: E731


def vit(dropout: float = 0.0) -> ViT:
    return ViT(8, 2, 10, 96, 4, 4, in_channels=1, dropout=dropout)


def trained(model: nn.Module) -> set[str]:
    return {n for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("model", "head"),
    [
        (CNN(), "classifier"),
        (vit(), "head"),
        (timm.create_model("resnet18"), "fc"),
        (timm.create_model("efficientnet_b0"), "classifier"),
        (timm.create_model("convnext_atto"), "head.fc"),
    ],
)
def test_the_head_is_found_and_trained_alone(model: nn.Module, head: str) -> None:
    assert find_head(model) == head
    assert trained(head_only(model)) == {f"{head}.weight", f"{head}.bias"}


def test_a_model_without_a_head_is_a_user_error() -> None:
    with pytest.raises(UserError, match="Linear has no layer called head, classifier"):
        head_only(nn.Linear(2, 2))


def test_lora_trains_few_weights_and_starts_from_the_models_output() -> None:
    torch.manual_seed(0)
    model, x = vit().eval(), torch.randn(2, 1, 8, 8)
    before = model(x)
    adapted: Any = lora(model, rank=2, targets=["0", "3"]).eval()
    assert torch.equal(adapted(x), before)
    names = trained(adapted)
    assert all("lora_" in n or n.startswith("head.") for n in names)
    count = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert count < 0.05 * sum(p.numel() for p in adapted.parameters())


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_a_head_that_is_the_embedding_stays_frozen(kind: Any) -> None:
    model = lora(kind(31, 8, 32, 4, 2, **({"tie": True} if kind is Llama else {})), rank=2)
    assert all("lora_" in n for n in trained(model))


@pytest.mark.parametrize("kind", ["bert_masked", "blip"])
def test_a_decoder_that_is_the_embedding_is_not_adapted(kind: str) -> None:
    """Merging into it would change the token embeddings at the input as well."""
    from arclight_zoo.text.bert import bert_masked
    from tests.zoo.image_text.test_blip import shaken

    torch.manual_seed(0)
    model: Any = shaken() if kind == "blip" else bert_masked(20, 8, 0, 16, 2, 1)
    tokens = torch.randint(4, 20, (2, 8))
    inputs: tuple[Tensor, ...] = (tokens,)
    if kind == "blip":
        inputs = (torch.randn(2, 3, 8, 8), tokens, torch.ones_like(tokens, dtype=torch.bool))
    names = set(model.state_dict())
    lora(model.eval(), rank=2).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
        adapted = model(*inputs)
        merge_adapters(model)
        torch.testing.assert_close(model(*inputs), adapted, rtol=1e-4, atol=1e-4)
    assert set(model.state_dict()) == names


ROWS = {  # that have linear layers; of published width, where the default rank is less than 5%
    "vit": ("model.d_model=384", "model.n_heads=6"),
    "vit_small": (),
    "gpt": ("model.d_model=384",),
    "llama": ("model.d_model=384",),
    "bert": ("model.d_model=384",),
    "bert_masked": ("model.d_model=384",),
    "t5": ("model.d_model=384",),
    "clip": ("model.image_d_model=384", "model.text_d_model=384"),
    "blip": ("model.image_d_model=384", "model.text_d_model=384"),
    "timm": ("model.name=convnext_tiny",),
}


@pytest.mark.parametrize("row", ROWS)
def test_lora_trains_less_than_a_twentieth_of_every_row(composed: Composed, row: str) -> None:
    config = composed(f"model={row}", "finetune=lora", *ROWS[row])
    known = {"num_classes": 10, "in_channels": 3, "image_size": 32, "vocab_size": 1024}
    known |= {"context": 64, "pad": 0, "start": 2, "end": 3}
    found = {k: v for k, v in known.items() if k in config["model"]}
    with torch.device("meta"):
        model = build(
            config["finetune"], model=build_model(config["model"], load_run=load_task, **found)
        )
    share = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0 < share < 0.05 * sum(p.numel() for p in model.parameters())
    attention = [n for n in trained(model) if "in_proj_weight" in n]
    assert bool(attention) is row.startswith(("vit", "gpt"))


@pytest.mark.parametrize("kind", ["vit", "gpt"])
def test_the_fused_attention_is_adapted_and_merged(kind: str) -> None:
    torch.manual_seed(0)
    model: Any = vit() if kind == "vit" else GPT(31, 8, 32, 4, 2, dropout=0.0)
    x = torch.randn(2, 1, 8, 8) if kind == "vit" else torch.randint(31, (2, 8))
    names, before = set(model.state_dict()), model.eval()(x)
    lora(model, rank=2, targets=["in_proj_weight"])
    assert torch.equal(model(x), before)
    matrices = [p for n, p in model.named_parameters() if "lora_" in n]
    assert len(matrices) == 2 * len(model.transformer)
    with torch.no_grad():
        for parameter in matrices:
            parameter.normal_(std=0.2)
    adapted = model(x)
    assert not torch.allclose(adapted, before, atol=1e-2)
    adapted.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in matrices)
    merge_adapters(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(model(x), adapted, rtol=1e-4, atol=1e-5)


def without_affine() -> nn.Module:
    """Norms that have statistics and no weights, one of them right before the head."""
    parts = {"in": nn.BatchNorm1d(4, affine=False), "one": nn.Linear(4, 4), "drop": nn.Dropout()}
    parts |= {"two": nn.Linear(4, 4), "out": nn.BatchNorm1d(4, affine=False)}
    return nn.Sequential(OrderedDict({**parts, "head": nn.Linear(4, 3)}))


IMAGE = (4, 3, 32, 32)
FROZEN: dict[str, tuple[Any, tuple[int, ...]]] = {
    "cnn": (lambda: CNN(in_channels=3), IMAGE),
    "speedrun": (lambda: SpeedrunNet(widths=[8, 8, 8]), IMAGE),
    "resnet": (lambda: timm.create_model("test_resnet", drop_path_rate=0.5), IMAGE),
    "convnext": (lambda: timm.create_model("test_convnext", drop_path_rate=0.5), IMAGE),
    "vit": (lambda: ViT(8, 2, 10, 96, 4, 4, dropout=0.5, drop_path=0.5), (4, 3, 8, 8)),
    "norms without weights": (without_affine, (4, 4)),
}


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_parts_stay_in_evaluation_mode(name: str) -> None:
    make, shape = FROZEN[name]
    torch.manual_seed(0)
    model = make()
    images = torch.randn(shape) + 3
    model(images)  # speedrun whitens
    task = Task(head_only(model), UNUSED, UNUSED, ())
    wanted = task.eval()(images) if name != "speedrun" else None
    before = {k: v.clone() for k, v in task.state_dict().items()}
    task.train()
    assert task.training
    assert model.get_submodule(find_head(model)).training
    a, b = task(images), task(images)
    assert torch.equal(a, b)
    if wanted is not None:  # whose views in evaluation are several
        torch.testing.assert_close(a, wanted)
    assert all(torch.equal(v, before[k]) for k, v in task.state_dict().items())


def test_trained_parts_are_in_training_mode() -> None:
    head = timm.create_model("test_vit", drop_rate=0.5)
    task = Task(head_only(head), UNUSED, UNUSED, ())
    assert task.model.head_drop.training
    assert not task.model.pos_drop.training
    task = Task(lora(vit(dropout=0.5), rank=2), UNUSED, UNUSED, ())
    assert all(m.training for m in task.modules())
    convolutions = timm.create_model("test_efficientnet")
    task = Task(convolutions, UNUSED, UNUSED, ())
    assert all(m.training for m in task.modules())
    convolutions.blocks[1].requires_grad_(False)  # in the middle
    norms = [m for m in convolutions.modules() if isinstance(m, nn.BatchNorm2d)]
    inside = {id(m) for m in convolutions.blocks[1].modules()}
    task.train()
    assert inside
    assert all(m.training is (id(m) not in inside) for m in norms)


def test_a_run_does_not_change_statistics_of_frozen_parts(
    composed: Composed, tmp_path: Path
) -> None:
    words = ("model=cnn", "model.widths=[8,8,8]", "finetune=head_only", "trainer.max_epochs=2")
    config = composed(*words, "data.limit=64", "data.batch_size=32")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    state = read(run.checkpoints / "last.ckpt")["state_dict"]
    counts = {k: v for k, v in state.items() if k.endswith("num_batches_tracked")}
    assert counts
    assert not any(counts.values())  # though the run has validated between its epochs


def test_a_model_without_linear_layers_is_a_user_error() -> None:
    with pytest.raises(UserError, match="finetune=lora: CNN has no linear layer to adapt"):
        lora(CNN())


def test_unknown_targets_are_a_user_error() -> None:
    with pytest.raises(UserError, match=r"matches no linear layer of the model: choose from 0, 3"):
        lora(vit(), targets=["q_proj"])


def test_layer_decay_slows_the_blocks_near_the_input() -> None:
    model = vit()
    names = {id(p): n for n, p in model.named_parameters()}
    groups: Any = decay_groups(model, 0.1, lr=1.0, layer_decay=0.5)
    rate = {names[id(p)]: g["lr"] for g in groups for p in g["params"]}
    assert rate["head.weight"] == 1.0
    assert rate["transformer.3.ff.0.weight"] == 0.5
    assert rate["transformer.0.ff.0.bias"] == 0.5**4
    assert rate["patch_embed.weight"] == rate["pos_embed"] == 0.5**5


SMALL = ("model=vit", "model.d_model=16", "model.n_layers=1", "data.limit=64", "data.batch_size=32")


def test_a_run_starts_from_an_earlier_one(composed: Composed, tmp_path: Path) -> None:
    def run(name: str, *words: str) -> Any:
        config = composed(*SMALL, "trainer.max_epochs=2", *words)
        made = create(tmp_path / name, tmp_path, name, config, [], {})
        assert execute(made) == 0
        return read(made.checkpoints / "last.ckpt")["state_dict"]

    first = run("first")
    start = f"model.pretrained={tmp_path / 'first'}"
    second = run("second", start, "finetune=head_only", "optimizer.weight_decay=0")
    tested = read(tmp_path / "first" / "checkpoints" / "best.ckpt")["state_dict"]
    for name, value in second.items():
        assert torch.equal(value, tested[name]) is not name.startswith("model.head"), name
    for way in ("lora", "layer_decay"):
        assert any("lora" in name for name in run(way, start, f"finetune={way}")) is (way == "lora")
    assert first.keys() == second.keys()


def vit_config(**sizes: Any) -> dict[str, Any]:
    return {
        "_target_": "arclight_zoo.image.vit.ViT",
        "norm_first": True,
        "final_norm": True,
        **sizes,
    }


def test_weights_of_timm_and_transformers_give_their_logits(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"image_size": 16, "patch_size": 4, "num_classes": 5, "d_model": 24, "n_heads": 3}
    theirs: dict[str, Any] = {
        "timm": timm.create_model(
            "vit_tiny_patch16_224", img_size=16, patch_size=4, num_classes=5, embed_dim=24, depth=2
        ),
        "transformers": ViTForImageClassification(
            ViTConfig(
                image_size=16,
                patch_size=4,
                num_labels=5,
                hidden_size=24,
                num_attention_heads=3,
                num_hidden_layers=2,
                intermediate_size=96,
                layer_norm_eps=1e-6,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        ),
    }
    x = torch.randn(2, 3, 16, 16)
    for name, model in theirs.items():
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.2)
        folder = tmp_path / name
        folder.mkdir()
        if name == "timm":
            save_file(model.eval().state_dict(), folder / "model.safetensors")
        else:
            model.eval().save_pretrained(folder)
        config = vit_config(**sizes, n_layers=2, norm_eps=1e-6, pretrained=str(folder))
        ours = build_model(config, load_run=load_task).eval()
        with torch.inference_mode():
            wanted = model(x)
            wanted = wanted if isinstance(wanted, torch.Tensor) else wanted.logits
            assert float((ours(x) - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())
        resized = build_model({**config, "num_classes": 7}, load_run=load_task).eval()
        assert resized(x).shape == (2, 7)


def test_a_damaged_pretrained_checkpoint_is_a_user_error(
    composed: Composed, tmp_path: Path
) -> None:
    run = create(tmp_path / "run", tmp_path, "run", composed("model=cnn"), [], {})
    (run.checkpoints / "best.ckpt").write_bytes(b"PK")
    config = {"_target_": "arclight_zoo.image.cnn.CNN", "pretrained": str(run.path)}
    with pytest.raises(UserError, match=r"cannot be read as a checkpoint: choose another run"):
        build_model(config, load_run=load_task)


def test_weights_of_another_model_are_a_user_error(tmp_path: Path) -> None:
    file = str(tmp_path / "other.safetensors")
    save_file({"weight": torch.zeros(2, 2)}, file)
    config = {"_target_": "arclight_zoo.image.cnn.CNN", "pretrained": file}
    with pytest.raises(UserError, match="has weights of another model: only 0 of 23 match"):
        build_model(config, load_run=load_task)
    with pytest.raises(UserError, match="has no weights: give a run directory"):
        build_model({**config, "pretrained": "./nowhere"}, load_run=load_task)
