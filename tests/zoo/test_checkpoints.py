"""Checkpoints of other libraries give the same outputs here, and train fully and with LoRA."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.models.pretrained import load_pretrained
from arclight.run.assembly import build_task
from arclight.run_directory import RunDirectory
from arclight.tasks.task import Task
from arclight.training.finetune import lora
from arclight.use.trained import Trained
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.tokens.text_facts import TextFacts
from tests import checkpoints as tiny
from tests.checkpoints import CONTEXT, END, START, VOCAB
from tests.conftest import Composed

SIZES = {"train": 8, "val": 8, "test": 8}
TEXT: dict[str, Any] = {"vocab_size": VOCAB, "context": CONTEXT, "pad": 0}
NAMES = list("abcde")


def image_facts(size: int) -> dict[str, Any]:
    three = [0.5, 0.5, 0.5]
    shape = {"image_size": size, "channels": 3, "mean": three, "std": three}
    return {"num_classes": 5, "class_names": NAMES, **shape}


OWN_VIT = ("model.d_model=128", "model.d_ff=256", "model.n_layers=2", "model.n_heads=4")
OWN_GPT = ("model.d_model=128", "model.n_layers=2", "model.n_heads=4")
TEXT_CLASSES = ("task=text_classification", "data=stdlib_packages")
CAPTIONS = ("task=captioning", "data=digits_captions")
FACTS: dict[str, Facts] = {
    "image": ImageFacts(sizes=SIZES, fingerprint="", **image_facts(8)),
    "photo": ImageFacts(sizes=SIZES, fingerprint="", **image_facts(64)),
    "text": TextFacts(sizes=SIZES, fingerprint="", **TEXT),
    "classes": TextFacts(sizes=SIZES, fingerprint="", **TEXT, class_names=NAMES),
    "both": ImageTextFacts(
        sizes=SIZES, fingerprint="", **TEXT, **image_facts(8), start=START, end=END
    ),
}
# Per row: overrides, the library's model, the facts of the data, the library's class.
CASES: dict[str, tuple[tuple[str, ...], Any, str, str]] = {
    "bert": (("model=bert",), tiny.bert, "classes", "AutoModelForSequenceClassification"),
    "bert_masked": (
        ("model=bert_masked",),
        partial(tiny.bert, masked=True),
        "text",
        "AutoModelForMaskedLM",
    ),
    "gpt": (("model=gpt", *OWN_GPT), tiny.gpt2, "text", "AutoModelForCausalLM"),
    "llama": (("model=llama",), tiny.llama, "text", "AutoModelForCausalLM"),
    "t5": (("model=t5",), tiny.t5, "text", "AutoModelForSeq2SeqLM"),
    "clip": (("model=clip",), tiny.clip, "both", "AutoModel"),
    "blip": (("model=blip",), tiny.blip, "both", "AutoModelForImageTextToText"),
    "vit": (("model=vit", *OWN_VIT), tiny.vit, "image", "AutoModelForImageClassification"),
    "vit-timm": (("model=vit", *OWN_VIT), tiny.timm_vit, "image", "timm"),
    "resnet": (
        ("model=resnet", "model.name=test_resnet", "model.small_images=false"),
        partial(tiny.of_timm, "test_resnet"),
        "photo",
        "timm",
    ),
    "efficientnet": (
        ("model=efficientnet", "model.name=test_efficientnet"),
        partial(tiny.of_timm, "test_efficientnet"),
        "photo",
        "timm",
    ),
    "timm": (
        ("model=timm", "model.name=test_convnext"),
        partial(tiny.of_timm, "test_convnext"),
        "photo",
        "timm",
    ),
    "auto-images": (("model=auto",), tiny.vit, "image", "AutoModelForImageClassification"),
    "auto-texts": (
        ("model=auto", *TEXT_CLASSES),
        tiny.bert,
        "classes",
        "AutoModelForSequenceClassification",
    ),
    "auto-language": (
        ("model=auto", "task=language_modelling", "data=stdlib"),
        tiny.gpt2,
        "text",
        "AutoModelForCausalLM",
    ),
    "auto-pairs": (
        ("model=auto", "task=sequence_to_sequence", "data=dates"),
        tiny.t5,
        "text",
        "AutoModelForSeq2SeqLM",
    ),
    "auto-both": (
        ("model=auto", "task=contrastive", "data=digits_captions"),
        tiny.clip,
        "both",
        "AutoModel",
    ),
    "auto-git": (("model=auto", *CAPTIONS), tiny.git, "both", "AutoModelForImageTextToText"),
    "auto-vit-gpt2": (
        ("model=auto", *CAPTIONS),
        tiny.vit_gpt2,
        "both",
        "AutoModelForImageTextToText",
    ),
}
CONVOLUTIONS = ("resnet", "efficientnet")


@pytest.mark.parametrize("case", CASES)
def test_outputs_match_the_library_and_the_loss_falls(
    composed: Composed, tmp_path: Path, case: str
) -> None:
    words, make, facts, kind = CASES[case]
    folder = tiny.saved(make, tmp_path / "saved")
    config = composed(*words, f"model.pretrained={folder}")
    task = build_task(config, FACTS[facts])
    inputs = inputs_of(config, FACTS[facts], task)
    assert all(module.training for module in task.modules())  # libraries return eval mode
    task.eval()
    with torch.inference_mode():
        ours = task.model(*inputs.values())
        theirs = librarys(kind, folder, inputs)
    for a, b in zip(listed(ours), listed(theirs), strict=True):
        a, b = (part * inputs["mask"][..., None] if case == "blip" else part for part in (a, b))
        assert float((a - b).abs().max()) <= 1e-5 * float(b.abs().max())

    adapted = copy.deepcopy(task)
    assert falls(task, inputs, 3e-3)
    if case in CONVOLUTIONS:
        with pytest.raises(UserError, match="no linear layer to adapt besides its head"):
            lora(adapted.model, rank=2)
        return
    lora(adapted.model, rank=2)
    count = [sum(p.numel() for p in ps) for ps in parameters(adapted.model)]
    assert count[0] < 0.05 * count[1]
    assert falls(adapted, inputs, 1e-2)


@pytest.mark.parametrize("case", ["blip", "auto-git", "auto-vit-gpt2"])
def test_captions_are_decoded_greedily(composed: Composed, tmp_path: Path, case: str) -> None:
    words, make, facts, _ = CASES[case]
    config = composed(*words, f"model.pretrained={tiny.saved(make, tmp_path)}")
    model: Any = build_task(config, FACTS[facts]).model
    images = torch.randn(3, 3, 8, 8)
    made = model.generate(images, 6, END)
    said = torch.full((3, 1), START)
    for _ in range(6):
        logits = model(images, said, torch.ones_like(said, dtype=torch.bool))
        said = torch.cat([said, logits[:, -1:].argmax(-1)], dim=1)
    ended = (said[:, 1:] == END).cumsum(1) > 0
    assert torch.equal(made, said[:, 1:].masked_fill(ended, END))


def test_chat_models_are_rejected_for_captioning(composed: Composed, tmp_path: Path) -> None:
    for make, answer in ((tiny.blip, "type model=blip"), (tiny.llava, "name a captioner")):
        folder = tiny.saved(make, tmp_path / make.__name__)
        config = composed("model=auto", *CAPTIONS, f"model.pretrained={folder}")
        with pytest.raises(UserError, match=answer):
            build_task(config, FACTS["both"])


def parameters(model: torch.nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The trained parameters, and all parameters."""
    every = list(model.parameters())
    return [p for p in every if p.requires_grad], every


def inputs_of(config: Any, facts: Facts, task: Task) -> dict[str, Tensor]:
    given = Trained(RunDirectory(Path()), config, facts, task).inputs(4)
    if "tokens" in given and "images" in given:  # in the frame that the models expect
        tokens, lengths = given["tokens"].clamp(3, END - 1), given["mask"].sum(1).clamp(min=2)
        tokens[:, 0] = START
        tokens[torch.arange(4), lengths - 1] = END
        places = torch.arange(tokens.shape[1])
        given["mask"] = places < lengths[:, None]
        given["tokens"] = tokens.masked_fill(~given["mask"], 0)
    return given


def test_weights_of_another_architecture_are_rejected_but_a_large_new_head_is_allowed(
    tmp_path: Path,
) -> None:
    roberta = transformers.RobertaConfig(**tiny.TEXT, num_labels=5)
    tiny.saved(lambda: transformers.RobertaForSequenceClassification(roberta), tmp_path / "other")
    kinds: tuple[Any, ...] = (
        transformers.BertForSequenceClassification,
        transformers.AutoModelForSequenceClassification,
    )
    with pytest.raises(UserError, match=r"has model_type roberta, .* only 0% .* type model=auto"):
        load_pretrained(kinds[0], str(tmp_path / "other"), num_labels=5)
    bert = tiny.saved(tiny.bert, tmp_path / "own")
    for kind in kinds:
        head = load_pretrained(kind, str(bert), num_labels=9999).classifier
        assert len(head.weight) == 9999  # most of the model
    weights = load_file(bert / "model.safetensors")
    save_file(
        {f"my.{k}": v for k, v in weights.items()}, bert / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(UserError, match="has no weight with a name of AutoModelForSeq"):
        load_pretrained(kinds[1], str(bert))


def librarys(kind: str, folder: Path, inputs: dict[str, Tensor]) -> Any:
    if kind == "timm":
        return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(inputs["images"])
    net = getattr(transformers, kind).from_pretrained(folder).eval()
    decoder = "decoder_" if isinstance(net, transformers.VisionEncoderDecoderModel) else ""
    names = {
        "images": "pixel_values",
        "tokens": f"{decoder}input_ids",
        "source": "input_ids",
        "mask": f"{decoder}attention_mask",
        "target": "labels",
    }
    plain = {k: v.long() if v.dtype == torch.bool else v for k, v in inputs.items()}
    found = net(**{names[k]: v for k, v in plain.items()})
    if kind == "AutoModel":
        return found.image_embeds, found.text_embeds, net.logit_scale.exp()
    if kind == "AutoModelForImageTextToText":
        return found.logits[:, -inputs["tokens"].shape[1] :]  # GIT has logits of patches too
    return found.logits


def listed(found: Any) -> list[Tensor]:
    return list(found) if isinstance(found, tuple) else [found]


def falls(task: Task, inputs: dict[str, Tensor], rate: float) -> bool:
    """Whether a few steps clearly reduce the loss of one batch."""
    numbers = torch.tensor([0, 1, 2, 3])
    batch: list[Tensor] = [*inputs.values()]
    if list(inputs) == ["tokens"]:
        batch.append(inputs["tokens"].roll(-1, 1))
    elif "source" not in inputs:
        batch.append(numbers)
    optimizer = torch.optim.Adam([p for p in task.model.parameters() if p.requires_grad], lr=rate)
    before = loss_without_dropout(task, batch)
    task.train()
    for step in range(12):
        torch.manual_seed(step)
        loss: Any = task.training_step(tuple(batch), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss_without_dropout(task, batch) < 0.9 * before


@torch.no_grad()
def loss_without_dropout(task: Task, batch: list[Tensor]) -> float:
    loss: Any = task.eval().training_step(tuple(batch), 0)
    return float(loss)
