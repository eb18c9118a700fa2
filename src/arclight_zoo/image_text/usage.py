"""Example code for exported image-text models: programs, and folders for transformers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from arclight.tasks.usage import SOFTMAX, HubUsage, Usage
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.pixels import usage as pixels
from arclight_zoo.pixels.hf_processor import as_coloured
from arclight_zoo.tokens import usage as tokens
from arclight_zoo.tokens.usage import TOKENIZER, carried_tokenizer

ASKS = "IMAGE..."
_HUB = "from transformers import AutoImageProcessor, AutoTokenizer, "


def _program(facts: ImageTextFacts, run: Path, code: str) -> Usage:
    known, _ = carried_tokenizer(run, facts.context)
    return Usage(
        asks=ASKS,
        imports=(*pixels.image_imports(facts), *tokens.IMPORTS),
        packages=(*pixels.PACKAGES, *tokens.PACKAGES),
        code=f"{pixels.image_reader(facts)}{code}",
        carries=known,
    )


def _folder(
    facts: ImageTextFacts, model: nn.Module, code: str, opened: str, pipeline: str
) -> HubUsage:
    read = pixels.image_reader(facts, coloured=as_coloured(model), normal=False)
    return HubUsage(
        asks=ASKS,
        imports=(*pixels.image_imports(facts), "import torch", f"{_HUB}{opened}"),
        packages=("torch", *pixels.PACKAGES),
        code=f"""{read}

tokenizer = AutoTokenizer.from_pretrained(FOLDER)
processor = AutoImageProcessor.from_pretrained(FOLDER)
model = {opened}.from_pretrained(FOLDER).eval()
{code}""",
        library="transformers",
        pipeline=pipeline,
    )


def caption_usage(facts: ImageTextFacts, run: Path) -> Usage:
    """The example of a program that predicts the next token of a caption."""
    code = f"""

{TOKENIZER.strip()}
CONTEXT, END = {facts.context}, {facts.end}  # END: the end token
for file in sys.argv[1:]:
    image = prepared(file)
    made = np.full((1, CONTEXT + 1), END)
    for place in range(CONTEXT):
        own = np.arange(CONTEXT)[None] <= place  # what is made so far
        logits = model(images=image, tokens=made[:, :-1], mask=own)[0]
        made[0, place + 1] = logits[0, place].argmax()
        if made[0, place + 1] == END:
            break
    words = [token for token in made[0, 1:].tolist() if token != END]
    print(json.dumps({{"file": file, "caption": tokenizer.decode(words)}}))
"""
    return _program(facts, run, code)


def caption_hub_usage(facts: ImageTextFacts, model: nn.Module) -> HubUsage:
    """The example of a folder whose model captions images."""
    code = f"""for file in sys.argv[1:]:
    inputs = processor(square(file), do_resize=False, do_center_crop=False, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens={facts.context}, do_sample=False, num_beams=1)
    caption = tokenizer.decode(made[0], skip_special_tokens=True)
    print(json.dumps({{"file": file, "caption": caption}}))
"""
    return _folder(facts, model, code, "AutoModelForImageTextToText", "image-to-text")


def zero_shot_usage(facts: ImageTextFacts, run: Path, data: Mapping[str, Any]) -> Usage:
    """The example of a program that embeds images and texts, and predicts the nearest class."""
    code = f"""{SOFTMAX}

def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


{TOKENIZER.strip()}
{_captions(facts, data)}
texts = [template.replace("{{}}", word) for word in CLASSES.values() for template in TEMPLATES]
found = tokenizer.encode_batch(texts)
tokens = np.array([one.ids for one in found])
mask = np.array([one.attention_mask for one in found], bool)
blank = np.zeros((len(texts), {facts.channels}, SIZE, SIZE), np.float32)
classes = model(images=blank, tokens=tokens, mask=mask)[1]
classes = unit(classes.reshape(len(CLASSES), len(TEMPLATES), -1).mean(1))
for file in sys.argv[1:]:
    image, _, scale = model(images=prepared(file), tokens=tokens[:1], mask=mask[:1])
    found = softmax(scale * image @ classes.T)[0]
    chances = dict(zip(CLASSES, found.tolist()))
    label = max(chances, key=chances.get)
    print(json.dumps({{"file": file, "label": label, "probabilities": chances}}))
"""
    return _program(facts, run, code)


def zero_shot_hub_usage(
    facts: ImageTextFacts, model: nn.Module, data: Mapping[str, Any]
) -> HubUsage:
    """The example of a folder whose model embeds both, and predicts the nearest class."""
    code = f"""{_captions(facts, data)}


def unit(features):
    return torch.nn.functional.normalize(getattr(features, "pooler_output", features), dim=-1)


with torch.inference_mode():
    classes = []
    for word in CLASSES.values():
        texts = [template.replace("{{}}", word) for template in TEMPLATES]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        classes.append(unit(model.get_text_features(**tokens)).mean(0))
    classes = torch.nn.functional.normalize(torch.stack(classes), dim=-1)
    scale = model.logit_scale.exp()
    for file in sys.argv[1:]:
        inputs = processor(square(file), do_resize=False, do_center_crop=False, return_tensors="pt")
        image = unit(model.get_image_features(**inputs))
        chances = dict(zip(CLASSES, (scale * image @ classes.T).softmax(1)[0].tolist()))
        label = max(chances, key=chances.get)
        print(json.dumps({{"file": file, "label": label, "probabilities": chances}}))
"""
    return _folder(facts, model, code, "AutoModel", "zero-shot-image-classification")


def _captions(facts: ImageTextFacts, data: Mapping[str, Any]) -> str:
    words: Sequence[str] = data["words"] or facts.class_names
    named = json.dumps(dict(zip(facts.class_names, words, strict=True)))
    return f"CLASSES = {named}  # and the word that captions have\nTEMPLATES = " + json.dumps(
        list(data["captions"])
    )
