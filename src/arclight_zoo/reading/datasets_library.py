"""What is used of Hugging Face `datasets` beyond its public names, in one place.

- `Dataset._fingerprint`: what was made of a data set is kept, and found again without reading it.
- `config.HF_HUB_OFFLINE`: without a network, what is in the cache loads at once rather than after
  half a minute of retries.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def fingerprint(dataset: Any) -> str:
    """Tells a `datasets.Dataset` from others: of the same files and changes, it is the same.

    Raises:
        RuntimeError: this version of `datasets` has another name for it.
    """
    found = getattr(dataset, "_fingerprint", None)
    if found is None:
        raise _missing(f"{type(dataset).__name__}._fingerprint")
    return str(found)


def is_offline() -> bool:
    """Whether `datasets` tries nothing but its cache."""
    return bool(_config().HF_HUB_OFFLINE)


@contextmanager
def offline(value: bool) -> Iterator[None]:
    """Makes `datasets` try nothing but its cache, or else the network too.

    Raises:
        RuntimeError: this version of `datasets` has another name for it.
    """
    config = _config()
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = value
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _config() -> Any:
    import datasets

    if not hasattr(datasets.config, "HF_HUB_OFFLINE"):
        raise _missing("config.HF_HUB_OFFLINE")
    return datasets.config


def _missing(name: str) -> RuntimeError:
    import datasets

    return RuntimeError(
        f"datasets {datasets.__version__} has no {name}: install the version of requirements.lock, "
        "or fix arclight_zoo/reading/datasets_library.py."
    )
