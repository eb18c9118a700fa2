"""Folders of format=hf, opened by the libraries' own pipelines, `generate()` and transforms."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from arclight.run_directory import RunDirectory
from arclight.use.generate import generate
from arclight.use.predict import predict
from tests.pictures import picture


def told(run: RunDirectory, asked: Path) -> list[dict[str, str]]:
    header, *answers = predict(str(run.path), str(asked))
    return [dict(zip(header, row, strict=True)) for row in answers]


def grey(folder: Path) -> Path:
    """An image of another shape, which has to be scaled and cut."""
    folder.mkdir(exist_ok=True)
    picture(1, (8, 8), "L").resize((16, 24), Image.Resampling.NEAREST).save(folder / "grey.png")
    return folder


def close(found: list[dict[str, Any]], wanted: dict[str, str], within: float) -> None:
    assert len(found) == len(wanted) - 2
    for answer in found:
        assert answer["score"] == pytest.approx(float(wanted[answer["label"]]), abs=within)


def image_classification(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    asked = grey(tmp_path / "asked")
    found = pipeline("image-classification", model=str(folder), top_k=10)(str(asked / "grey.png"))
    close(found, told(run, asked)[0], 5e-3)  # torchvision scales with other rounding


def text_classification(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    (tmp_path / "new.txt").write_text("def open the file </s> " * 200 + "\nimport ✓\n", "utf-8")
    ask = pipeline("text-classification", model=str(folder), top_k=None)
    for row in told(run, tmp_path / "new.txt"):
        close(ask([row["text"]], truncation=True)[0], row, 1e-4)
    assert ask.tokenizer.model_max_length == run.manifest["data"]["context"]
    assert ask.model.config.label2id == {v: k for k, v in ask.model.config.id2label.items()}


def text_generation(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    ask = pipeline("text-generation", model=str(folder))
    (made,) = ask("def read", max_new_tokens=30, do_sample=False)
    assert made["generated_text"] == generate(str(run.path), "def read", length=30, temperature=0)


def hidden_tokens(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    text = "def read(<mask>):"
    (tmp_path / "new.txt").write_text(text + "\n")
    best = pipeline("fill-mask", model=str(folder))(text)[0]
    assert best["sequence"] == told(run, tmp_path / "new.txt")[0]["answer"]


def one_text_of_another(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    text = "the 3rd of May 1999"
    (tmp_path / "new.txt").write_text(text + "\n")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    length = run.manifest["data"]["target_context"]
    made = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=length)
    found = tokenizer.decode(made[0], skip_special_tokens=True)
    assert found == told(run, tmp_path / "new.txt")[0]["answer"]


def images_by_captions(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    data = run.config["data"]
    asked, words = grey(tmp_path / "asked"), data["words"] or run.manifest["data"]["class_names"]
    ask = pipeline("zero-shot-image-classification", model=str(folder))
    image = Image.open(asked / "grey.png")
    if len(data["captions"]) > 1:  # the pipeline knows one template, the run means over all
        data["captions"] = data["captions"][:1]
        run.config_file.write_text(yaml.safe_dump({**run.config, "data": data}))
    (template,) = data["captions"]
    found = ask(image, candidate_labels=list(words), hypothesis_template=template)
    named = dict(zip(words, run.manifest["data"]["class_names"], strict=True))
    close([{**one, "label": named[one["label"]]} for one in found], told(run, asked)[0], 5e-3)


def captions_of_images(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    asked = tmp_path / "asked"
    asked.mkdir(exist_ok=True)
    picture(1, (8, 8), "L").save(asked / "grey.png")
    pixels = AutoImageProcessor.from_pretrained(folder)(
        Image.open(asked / "grey.png").convert("RGB"), return_tensors="pt"
    )
    model = AutoModelForImageTextToText.from_pretrained(folder)
    made = model.generate(**pixels, max_new_tokens=run.manifest["data"]["context"])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = tokenizer.decode(made[0], skip_special_tokens=True)
    assert found == told(run, asked)[0]["caption"]


def models_of_timm(run: RunDirectory, folder: Path, tmp_path: Path) -> None:
    import timm
    from timm.data import create_transform, resolve_model_data_config

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model))
    asked = grey(tmp_path / "asked")
    mode = "L" if run.manifest["data"]["channels"] == 1 else "RGB"
    with torch.inference_mode():
        image = transform(Image.open(asked / "grey.png").convert(mode))
        chances = model(image[None]).softmax(1)[0].tolist()
    row = told(run, asked)[0]
    assert chances == pytest.approx(list(map(float, list(row.values())[2:])), abs=1e-3)


CHECKS = {
    "vit": image_classification,
    "auto": image_classification,
    "bert": text_classification,
    "gpt": text_generation,
    "llama": text_generation,
    "bert_masked": hidden_tokens,
    "t5": one_text_of_another,
    "clip": images_by_captions,
    "blip": captions_of_images,
    "timm": models_of_timm,
}
"""By model: called with the run, its exported folder and a folder for inputs."""
