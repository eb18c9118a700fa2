"""All uses of private names of Hugging Face `datasets`.

- `Dataset._fingerprint` identifies a data set without reading it, as the key of our caches.
- `config.HF_HUB_OFFLINE` loads from the cache immediately where there is no network, instead of
  after half a minute of retries.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def fingerprint(dataset: Any) -> str:
    """Identifies a `datasets.Dataset`: equal for the same files and transformations.

    Raises:
        RuntimeError: this version of `datasets` has another name for it.
    """
    found = getattr(dataset, "_fingerprint", None)
    if found is None:
        raise _missing(f"{type(dataset).__name__}._fingerprint")
    return str(found)


def is_offline() -> bool:
    """Whether `datasets` uses only its cache."""
    return bool(_config().HF_HUB_OFFLINE)


@contextmanager
def offline(value: bool) -> Iterator[None]:
    """Makes `datasets` use only its cache (True), or the network too (False).

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
