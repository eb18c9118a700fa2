"""How much is tried: a sample in CI, the whole by `make safety`."""

import os

WHOLE = os.environ.get("ARCLIGHT_SAFETY") == "whole"


def examples(sample: int, whole: int = 10_000) -> int:
    """As many as are wanted here."""
    return whole if WHOLE else sample
