"""Choose transformers' attention masks without host synchronisation.

This is the only file that uses private names of transformers: two functions of
`transformers.masking_utils`, which are replaced while a marked forward pass runs. This saves a
host synchronisation per batch, and allows the fastest attention kernels in compiled models, which
do not support explicit masks.
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

    Called by the constructors of models with a marked forward pass.
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
    """Marks a forward pass of a transformers model that chooses its mask without host sync.

    The library checks two things in each batch: whether positions restart within a row (several
    texts packed into one), and whether a mask hides anything. In a marked pass each row is one
    text, and a given mask is always used.

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
    """Runs a pass while it is compiled, in a way that the compiler can trace.

    The compiler supports neither locks nor context managers here. It excludes other threads
    itself, and the library does not read a mask's values while tracing.
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
_passes = 0  # running marked passes, in all threads
_theirs: dict[str, Any] = {}


@contextmanager
def _replaced() -> Iterator[None]:
    """Replaces the functions while any marked pass runs."""
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
