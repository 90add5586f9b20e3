from . import datasets, metrics
from .models import Camera, DepthPrediction, Predictor, ReleasedModel, load

__all__ = ["Camera", "DepthPrediction", "Predictor", "ReleasedModel", "datasets", "load", "metrics"]

__version__: str
