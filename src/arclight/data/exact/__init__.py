"""Ordinary `DataLoader`s that continue with the same batches after any interruption."""

from arclight.data.exact.loader import ExactLoader
from arclight.data.exact.stream_loader import ExactStreamLoader
from arclight.data.exact.wrapping import ExactLoaders, make_exact

__all__ = ["ExactLoader", "ExactLoaders", "ExactStreamLoader", "make_exact"]
