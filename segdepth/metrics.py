"""The metric suite, see :mod:`lightning_modules.metrics`: loads torch, torchmetrics and what metrics compute with."""

from lightning_modules.metrics import *  # noqa: F403
from lightning_modules.metrics import __all__ as __all__
