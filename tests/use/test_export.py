"""Exports have the outputs of the run, in every format and for every `configs/model`."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from arclight.errors import UserError
from arclight.run.assembly import build_parts, load_task
from arclight.run.weights import build_model, keep_sizes
from arclight.run_directory import RunDirectory, create
from arclight.use.export import ENDINGS, export
from arclight.use.formats import FORMATS, outputs
from arclight.use.trained import trained
from arclight_zoo.pixels.decode import model_input
from arclight_zoo.pixels.hf_processor import write_processor
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.tokens import tokenizer as tokenizers
from tests.checkpoints import saved, vit
from tests.conftest import Composed, options
from tests.pictures import picture

FEW = ("data.limit=8", "data.batch_size=4")
SIZES = {"vit_small", "vit_base", "vit_large", "vit_huge"}  # vit_tiny with other numbers
OF_TEXT = ("gpt", "llama")  # whose own text takes a while to encode
# Forms that a row has not, and the sentence that says so.
WITHOUT = {
    ("cnn", "hf"): "transformers and timm have no model like CNN",
    ("unet", "hf"): "transformers and timm have no model like UNet",
    ("mlp", "hf"): "transformers and timm have no model like MLP",
    ("gan", "hf"): "transformers and timm have no model like GAN",
    ("ddpm", "hf"): "transformers and timm have no model like UNet",
    ("student", "hf"): "transformers and timm have no model like Student",
    ("speedrun", "hf"): "transformers and timm have no model like SpeedrunNet",
    ("resnet", "hf"): "timm has no model with the stem of model.small_images=true",
}


def run_of(composed: Composed, folder: Path, model: str, *words: str) -> RunDirectory:
    """A run with a checkpoint of weights that are larger than a start, so that differences show."""
    shallow = ["model.n_layers=1"] if model == "vit_tiny" else []
    folder.mkdir(exist_ok=True)
    text = folder / "text.txt"
    text.write_text("def read(file):\n    return 1\n\n" * 300)
    small = [f"data.path={text}", "data.tokenizer=characters"] if model in OF_TEXT else []
    published = [f"model.pretrained={saved(vit, folder / 'vit')}"] if model == "auto" else []
    config = composed(f"model={model}", *FEW, *shallow, *small, *published, *words)
    run = create(folder / "run", folder, model, config, [], {})
    parts = build_parts(config, run.path)
    keep_sizes(parts.task.model, config["model"], run.path)
    run.update_manifest(data=parts.data.facts.to_dict())
    with torch.no_grad():
        for name, parameter in parts.task.model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
            elif parameter.ndim == 2:
                parameter.mul_(1.5)
    content = {"state_dict": parts.task.state_dict(), "global_step": 0}
    content["run_id"] = run.manifest["run_id"]
    torch.save(content, run.checkpoints / "last.ckpt")
    return run


def exported(run: RunDirectory, model: str, format: str) -> None:
    if (model, format) in WITHOUT:
        with pytest.raises(UserError, match=WITHOUT[model, format]):
            export(str(run.path), format)
        assert not (run.path / f"model{ENDINGS[format]}").exists()
    else:
        assert export(str(run.path), format).exists()
    assert not list(run.path.glob(".*.new"))


def rows(*fast: str) -> list[Any]:
    """All rows; those that show no more than these are slow."""
    marks: dict[bool, Any] = {True: (), False: pytest.mark.slow}
    return [
        pytest.param(name, marks=marks[name in fast])
        for name in options("model")
        if name not in SIZES
    ]


@pytest.mark.parametrize("model", ["vit", pytest.param("clip", marks=pytest.mark.slow)])
def test_lora_is_merged_or_kept_apart(composed: Composed, tmp_path: Path, model: str) -> None:
    run = run_of(composed, tmp_path, model, "finetune=lora")
    merged = export(str(run.path), "safetensors")
    apart = export(str(run.path), "safetensors", str(tmp_path / "apart.safetensors"), merge=False)
    names = [set(load_file(file)) for file in (merged, apart)]
    assert not any("lora_" in name or "base_layer" in name for name in names[0])
    assert any("lora_" in name for name in names[1])
    export(str(run.path), "torch_export")
    # what starts from the run starts from the merged weights as well
    one = trained(run)
    config = {**one.config["model"], "pretrained": str(run.path)}
    again = build_model(config, load_run=load_task, **one.facts.for_model()).eval()
    inputs = one.inputs(3).values()
    with torch.inference_mode():
        for a, b in zip(outputs(again(*inputs)), outputs(one.model(*inputs)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_file_has_metadata_of_its_data(composed: Composed, tmp_path: Path) -> None:
    run = run_of(composed, tmp_path, "vit")
    with safe_open(export(str(run.path), "safetensors"), "pt") as file:
        known = file.metadata()
    facts = run.manifest["data"]
    for key in ("image_size", "channels", "mean", "std"):
        assert json.loads(known[key]) == facts[key]
    assert json.loads(known["classes"]) == facts["class_names"]
    assert known["task"] == "ImageClassification"
    assert known["arclight"]


def test_libraries_open_the_folder(composed: Composed, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForCausalLM, AutoTokenizer

    run = run_of(composed, tmp_path / "a", "gpt")
    folder = export(str(run.path), "hf", str(tmp_path / "gpt"))
    tokenizer, own = AutoTokenizer.from_pretrained(folder), tokenizers.load(run.path)
    text = "def read(file):\n    return 1"
    assert own is not None
    assert tokenizer(text)["input_ids"] == own.encode(text).ids
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    tokens = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        given = AutoModelForCausalLM.from_pretrained(folder)(tokens).logits
        wanted = trained(run).model(tokens)
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-4)

    own = tokenizers.Tokenizer.from_str(own.to_str().replace("</s>", "<|endoftext|>"))
    tokenizers.keep(own, run.path)  # as if it were GPT-2's
    folder = export(str(run.path), "hf", str(tmp_path / "ended"))
    assert AutoTokenizer.from_pretrained(folder).eos_token == "<|endoftext|>"

    run = run_of(composed, tmp_path / "b", "vit")
    folder = export(str(run.path), "hf", str(tmp_path / "vit"))
    processor = AutoImageProcessor.from_pretrained(folder)
    assert list(processor.image_mean) == run.manifest["data"]["mean"] * 3  # grey as coloured
    assert processor.size["shortest_edge"] == 8
    assert (processor.crop_size["height"], processor.crop_size["width"]) == (8, 8)


def test_programs_have_metadata_of_their_data(composed: Composed, tmp_path: Path) -> None:
    import onnx

    run = run_of(composed, tmp_path, "cnn")
    known = {
        entry.key: entry.value for entry in onnx.load(export(str(run.path), "onnx")).metadata_props
    }
    more = {"metadata.json": ""}
    torch.export.load(export(str(run.path), "torch_export"), extra_files=more)
    assert json.loads(more["metadata.json"]).items() <= known.items()
    facts = run.manifest["data"]
    assert json.loads(known["mean"]) == facts["mean"]
    assert json.loads(known["classes"]) == facts["class_names"]
    assert known["interpolation"] == "bilinear"
    assert json.loads(known["input_shapes"]) == {"images": ["batch", 1, 8, 8]}
    (images,) = onnx.load(run.path / "model.onnx").graph.input
    assert images.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert int(known["opset"]) > 16


def test_the_library_crops_as_evaluation_does(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor

    facts = ImageFacts(
        num_classes=2, class_names=["a", "b"], image_size=56, channels=3, mean=[0.5, 0.4, 0.3],
        std=[0.2, 0.2, 0.1], eval_crop=0.875, sizes={}, fingerprint="",
    )  # fmt: skip
    write_processor(nn.Identity(), facts, tmp_path)
    image = picture(0, (8, 8)).resize((200, 150), Image.Resampling.BICUBIC)
    image.save(tmp_path / "image.png")
    found = AutoImageProcessor.from_pretrained(tmp_path)(image, return_tensors="pt")["pixel_values"]
    wanted = model_input(tmp_path / "image.png", facts)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().mean() < 0.2 * (
        found - model_input(tmp_path / "image.png", replace(facts, eval_crop=1.0))
    ).abs().mean()


def test_an_export_with_other_outputs_is_removed(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(composed, tmp_path, "cnn")

    def wrong(one: Any, place: Path, merge: bool, carried: Any) -> Any:
        place.write_text("weights")
        return lambda inputs: [one.model(*inputs.values()) * 1.001]

    monkeypatch.setitem(FORMATS, "onnx", wrong)
    before = sorted(run.path.iterdir())
    with pytest.raises(UserError, match="has other outputs than the run: they differ by"):
        export(str(run.path), "onnx")
    assert sorted(run.path.iterdir()) == before


def test_missing_packages_for_onnx_are_listed(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(composed, tmp_path, "cnn")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "onnxruntime" else found(name, *rest),
    )
    with pytest.raises(UserError, match=r'needs onnxruntime: type pip install -e "\.\[export\]"'):
        export(str(run.path), "onnx")


def test_invalid_arguments_are_user_errors(composed: Composed, tmp_path: Path) -> None:
    run = str(run_of(composed, tmp_path, "cnn").path)
    faults: list[tuple[dict[str, Any], str]] = [
        ({"format": "onx"}, "format=onx is unknown: type one of safetensors, onnx"),
        ({"format": "onnx", "merge": False}, "merge=false keeps LoRA's matrices apart"),
        ({"format": "onnx", "output": run}, "already exists: remove it, or type output=PATH"),
        ({"format": "onnx", "output": f"{run}/no/where"}, "in a folder that does not exist"),
        ({"format": "onnx", "checkpoint": "no"}, "checkpoint=no is not a file"),
    ]
    for words, sentence in faults:
        with pytest.raises(UserError, match=sentence):
            export(run, **words)
