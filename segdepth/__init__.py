"""Depth from trained runs, metrics and data sets, in programs of one's own.

A run's method takes images of any size, of NumPy, Pillow or torch::

    import segdepth

    model = segdepth.load("runs/shed_hybrid/20261121-101500-rooms-quick")
    depth = model.infer(image).depth  # (H, W) float32 metres
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# the names of __init__.pyi, each imported when it is first asked for
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("segdepth")
except PackageNotFoundError:  # a checkout on the path that nobody installed
    __version__ = "unknown"
