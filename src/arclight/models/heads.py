"""Find the head of a model: the last layer, which a new task replaces."""

from typing import Any

from torch import nn

from arclight.errors import UserError

__all__ = ["find_head", "heads_of"]

USUAL_NAMES = ("head", "classifier", "fc", "score", "lm_head")
"""Names of the last layer in models of timm and transformers."""


def heads_of(model: nn.Module) -> list[str]:
    """Returns the names of modules that may be the last layer, in order.

    A model may define timm's method `get_classifier()`. Otherwise, the usual names are used.
    """
    own: Any = getattr(model, "get_classifier", None)
    head = own() if callable(own) else None
    if isinstance(head, nn.Module) and any(True for _ in head.parameters()):
        return [name for name, module in model.named_modules() if module is head]
    return [n for n, _ in model.named_modules() if n.rpartition(".")[2] in USUAL_NAMES]


def find_head(model: nn.Module) -> str:
    """Returns the name of the last layer.

    Raises:
        UserError: the model has no `get_classifier()` and no layer with a usual name.
    """
    found = heads_of(model)
    if not found:
        raise UserError(
            f"{type(model).__name__} has no layer called {', '.join(USUAL_NAMES)}, so its head is "
            "unknown: give it a method get_classifier() that returns the layer, or type "
            "finetune=full."
        )
    return found[-1]
