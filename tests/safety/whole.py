"""The number of examples: a sample in CI, all of them with `make safety`."""

import os

WHOLE = os.environ.get("ARCLIGHT_SAFETY") == "whole"


def examples(sample: int) -> int:
    """The number of examples to try."""
    return 10_000 if WHOLE else sample
