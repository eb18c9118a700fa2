"""Say what an unreadable image file is instead."""

from arclight_zoo.pixels.arrays import MAGIC

_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")


def instead(stored: bytes, error: Exception) -> str:
    """What a file is instead of an image; empty if it is not known.

    Args:
        stored: its content.
        error: why it cannot be read.
    """
    start = stored[:200].lstrip().lower()
    kinds = {
        "it is empty": not stored,
        "it is a HEIC image: convert it to JPEG or PNG": stored[4:12] in _HEIC,
        "it is a web page": start.startswith((b"<!doctype", b"<html")),
        "it is a Git LFS pointer: type git lfs pull": start.startswith(b"version https://git-lfs"),
        "it is a zip archive": start.startswith(b"pk\x03\x04"),
    }
    told = isinstance(error, ValueError) and (
        stored.startswith(MAGIC) or "its pixels" in str(error)
    )
    return next((what for what, true in kinds.items() if true), str(error) if told else "")
