"""Independent keys for generators from a purpose and a few integers."""

import hashlib

__all__ = ["mix"]


def mix(purpose: str, *numbers: int) -> int:
    """A 128-bit key for these numbers; two different (purpose, numbers) do not share one."""
    words = ",".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=16).digest(), "little")


def torch_seed(purpose: str, *numbers: int) -> int:
    """The same in the 63 bits that `torch.manual_seed` takes on every device."""
    return mix(purpose, *numbers) >> 65
