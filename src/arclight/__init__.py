"""Arclight: a research template with runs that can be resumed exactly, evaluated and trusted.

The public names are imported when they are first used, so `import arclight` is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
