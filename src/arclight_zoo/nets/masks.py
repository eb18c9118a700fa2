"""transformers' attention masks, made without a question to the device."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")

_silent = False  # whether a forward pass of `unasked` is under way


def unasked(forward: Callable[Given, Found]) -> Callable[Given, Found]:
    """A forward pass of a transformers model that does not wait for the device to choose a mask.

    The library looks at the numbers of each batch: whether positions start anew within a row, as
    where several texts are packed into one, and whether a mask hides anything. Here a row is one
    text, and a mask that is given is used. Nor is then a mask written down for texts that might be
    packed where `torch.compile` cannot look, which rules out the fastest kernels.

    Only passes that are marked so are changed: who packs texts, in a model of their own, still can.
    The model's constructor calls `obey`.
    """

    @wraps(forward)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        global _silent
        before, _silent = _silent, True
        try:
            return forward(*args, **kwargs)
        finally:
            _silent = before

    return wrapped


@cache
def obey() -> None:
    """Makes the library heed `unasked`, for which it has no option of its own.

    A version that has other names for what asks is left as it is: it waits, and computes the same.
    """
    from transformers import masking_utils

    theirs: Any = masking_utils
    if not hasattr(theirs, "find_packed_sequence_indices") or not hasattr(theirs, "is_tracing"):
        return
    packed, tracing = theirs.find_packed_sequence_indices, theirs.is_tracing
    theirs.find_packed_sequence_indices = lambda positions: None if _silent else packed(positions)
    theirs.is_tracing = lambda tensor=None: _silent or tracing(tensor)
