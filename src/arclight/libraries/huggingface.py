"""What the engine needs of huggingface_hub beyond its public names, in one place.

- `constants.HF_HUB_OFFLINE`: without a network, a model in the cache loads at once rather than
  after half a minute of retries. The environment variable of that name is read only once, when the
  library is imported.
- `constants.ENDPOINT`: where the hub is, which mirrors change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from arclight.libraries.missing import missing


def endpoint() -> str:
    """The hub's address."""
    return str(_constants().ENDPOINT)


def is_offline() -> bool:
    """Whether the library tries nothing but its cache."""
    return bool(_constants().HF_HUB_OFFLINE)


@contextmanager
def offline(value: bool) -> Iterator[None]:
    """Makes the library try nothing but its cache, or else the network too.

    Raises:
        RuntimeError: this version of huggingface_hub has other names for it.
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
