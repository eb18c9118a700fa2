"""Example code for exported image models in folders of transformers or timm."""

from torch import nn

from arclight.tasks.usage import SOFTMAX, HubUsage
from arclight_zoo.pixels.hf_processor import as_coloured
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.usage import PACKAGES, image_imports, image_reader

_TIMM = """

model = timm.create_model(f"local-dir:{FOLDER}", pretrained=True).eval()
classes = json.loads((FOLDER / "config.json").read_text())["label_names"]
for file in sys.argv[1:]:
    with torch.inference_mode():
        outputs = model(torch.from_numpy(prepared(file)))[0].numpy()
"""
_TRANSFORMERS = """

model = AutoModelForImageClassification.from_pretrained(FOLDER).eval()
processor = AutoImageProcessor.from_pretrained(FOLDER)
classes = list(model.config.id2label.values())
for file in sys.argv[1:]:
    inputs = processor(square(file), do_resize=False, do_center_crop=False, return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs).logits[0].numpy()
"""


def timm_usage(facts: ImageFacts, answer: str, tags: tuple[str, ...]) -> HubUsage:
    """The example for a folder from `write_timm`; see `row_usage` for `answer`."""
    read = image_reader(facts) + (SOFTMAX if "softmax(" in answer else "")
    return HubUsage(
        asks="IMAGE...",
        imports=(*image_imports(facts), "import timm", "import torch"),
        packages=PACKAGES,
        code=f"{read}{_TIMM}{answer}",
        library="timm",
        pipeline="image-classification",
        tags=tags,
    )


def transformers_usage(
    model: nn.Module, facts: ImageFacts, answer: str, tags: tuple[str, ...]
) -> HubUsage:
    """The example for a folder from `write_model`; see `row_usage` for `answer`."""
    read = image_reader(facts, coloured=as_coloured(model), normal=False)
    return HubUsage(
        asks="IMAGE...",
        imports=(
            *image_imports(facts),
            "import torch",
            "from transformers import AutoImageProcessor, AutoModelForImageClassification",
        ),
        packages=("torch", *PACKAGES),
        code=f"{read}{SOFTMAX if 'softmax(' in answer else ''}{_TRANSFORMERS}{answer}",
        library="transformers",
        pipeline="image-classification",
        tags=tags,
    )
