"""Derive independent seeds for generators from a purpose and a few integers."""

import hashlib

__all__ = ["mix"]


def mix(purpose: str, *numbers: int) -> int:
    """Returns a 128-bit key, different for each (purpose, numbers)."""
    text = ",".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def torch_seed(purpose: str, *numbers: int) -> int:
    """Returns a 63-bit key, which `torch.manual_seed` accepts on every device."""
    return mix(purpose, *numbers) >> 65
