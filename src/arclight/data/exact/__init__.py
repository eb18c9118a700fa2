"""Ordinary `DataLoader`s that go on with the same batches after any cut."""

from arclight.data.exact.loader import ExactLoader
from arclight.data.exact.stream_loader import ExactStreamLoader
from arclight.data.exact.wrapping import ExactLoaders, make_exact

__all__ = ["ExactLoader", "ExactLoaders", "ExactStreamLoader", "make_exact"]
