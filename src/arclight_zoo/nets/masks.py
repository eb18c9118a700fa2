"""transformers' attention masks, chosen without waiting for the device.

The one file that uses names of transformers that are not part of its interface: two functions of
`transformers.masking_utils`, which are replaced while a marked forward pass runs and put back
afterwards. What they buy: no wait for the device in each batch, and the fastest attention kernels
in compiled models, which a mask that is written down rules out.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Given = ParamSpec("Given")
Found = TypeVar("Found")

NAMES = ("find_packed_sequence_indices", "is_tracing")


def require_mask_names() -> None:
    """Raises `RuntimeError` if this version of transformers lacks a name that is replaced here.

    Constructors of models with a marked forward pass call it.
    """
    import transformers
    from transformers import masking_utils

    missing = [name for name in NAMES if not callable(getattr(masking_utils, name, None))]
    if missing:
        raise RuntimeError(
            f"transformers {transformers.__version__} has no masking_utils.{', '.join(missing)}, "
            "without which each batch would wait for the device: install the version of "
            "requirements.lock, or fix arclight_zoo/nets/masks.py."
        )


def skip_mask_sync(forward: Callable[Given, Found]) -> Callable[Given, Found]:
    """Marks a forward pass of a transformers model as one that does not wait to choose its mask.

    The library reads two things from each batch: whether positions start anew within a row, which
    they do where several texts are packed into one, and whether a mask hides anything. In a marked
    pass each row is one text, and a mask that is given is always used.

    Other passes are unchanged, also those of other threads at the same time.
    """

    @wraps(forward)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        if torch.compiler.is_compiling():
            return _traced(forward, *args, **kwargs)
        with _replaced():
            return forward(*args, **kwargs)

    return wrapped


def _traced(forward: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """Runs a pass while it is compiled, in a way that the compiler can follow.

    It follows neither locks nor context managers. It keeps other threads out by itself, and the
    library does not look at a mask's values while it traces.
    """
    from transformers import masking_utils

    theirs: Any = masking_utils
    before = theirs.find_packed_sequence_indices
    theirs.find_packed_sequence_indices = _no_packing
    try:
        return forward(*args, **kwargs)
    finally:
        theirs.find_packed_sequence_indices = before


def _no_packing(positions: Tensor) -> None:
    return None


class _Here(threading.local):
    marked = False  # whether this thread is in a marked pass


_here = _Here()
_lock = threading.Lock()
_passes = 0  # under way, in all threads
_theirs: dict[str, Any] = {}


@contextmanager
def _replaced() -> Iterator[None]:
    """Replaces the functions from the start of the first pass under way to the end of the last."""
    global _passes
    from transformers import masking_utils

    with _lock:
        if _passes == 0:
            _theirs.update({name: getattr(masking_utils, name) for name in NAMES})
            vars(masking_utils).update(zip(NAMES, (_packing, _tracing), strict=True))
        _passes += 1
    before, _here.marked = _here.marked, True
    try:
        yield
    finally:
        _here.marked = before
        with _lock:
            _passes -= 1
            if _passes == 0:
                vars(masking_utils).update(_theirs)


def _packing(positions: Tensor) -> Any:
    return None if _here.marked else _theirs["find_packed_sequence_indices"](positions)


def _tracing(tensor: Tensor | None = None) -> Any:
    return _here.marked or _theirs["is_tracing"](tensor)
