from . import datasets, metrics
from .models import DepthPrediction, Predictor, ReleasedModel, load

__all__ = ["DepthPrediction", "Predictor", "ReleasedModel", "datasets", "load", "metrics"]

__version__: str
