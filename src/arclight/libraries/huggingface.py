"""Internal names of huggingface_hub that the engine uses.

- `constants.HF_HUB_OFFLINE`: without a network, a cached model loads immediately instead of after
  half a minute of retries. The environment variable of that name is read only once, when the
  library is imported.
- `constants.ENDPOINT`: the address of the hub; mirrors change it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from arclight.libraries.missing import missing


def endpoint() -> str:
    """Returns the URL of the hub."""
    return str(_constants().ENDPOINT)


def is_offline() -> bool:
    """Whether the library uses only its cache."""
    return bool(_constants().HF_HUB_OFFLINE)


@contextmanager
def offline(value: bool) -> Iterator[None]:
    """Switches offline mode on or off within the block.

    Raises:
        RuntimeError: this version of huggingface_hub lacks a name that is used here.
    """
    constants = _constants()
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = value
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _constants() -> Any:
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "ENDPOINT"):
        if not hasattr(constants, name):
            raise missing("huggingface_hub", f"constants.{name}", "huggingface.py")
    return constants
