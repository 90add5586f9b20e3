from . import datasets, metrics
from .models import Camera, DepthPrediction, Ensemble, Predictor, ReleasedModel, load

__all__ = ["Camera", "DepthPrediction", "Ensemble", "Predictor", "ReleasedModel", "datasets", "load", "metrics"]

__version__: str
