"""Arclight: a research template whose runs can be resumed exactly, evaluated and trusted.

The names below are imported when they are first used, so that `import arclight` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
