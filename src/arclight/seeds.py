"""Independent seeds from a few integers."""

import hashlib


def mix(*parts: int | str) -> int:
    """A 63-bit seed that is a pure function of its parts; any change of a part changes it all."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
