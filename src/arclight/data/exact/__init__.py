"""Ordinary `DataLoader`s that go on with the same batches after any cut."""

from arclight.data.exact.loader import ExactLoader
from arclight.data.exact.wrapping import ExactLoaders, make_exact

__all__ = ["ExactLoader", "ExactLoaders", "make_exact"]
