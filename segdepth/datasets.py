"""The data modules, with what they and their frames are made of, see :mod:`datamodules`."""

from datamodules import *  # noqa: F403
from datamodules import __all__ as __all__
