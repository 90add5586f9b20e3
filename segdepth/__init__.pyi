from . import datasets, metrics
from .models import DepthPrediction, Predictor, load

__all__ = ["DepthPrediction", "Predictor", "datasets", "load", "metrics"]

__version__: str
