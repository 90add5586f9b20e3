from . import datasets, metrics
from .models import DepthPrediction, Ensemble, Predictor, ReleasedModel, load

__all__ = ["DepthPrediction", "Ensemble", "Predictor", "ReleasedModel", "datasets", "load", "metrics"]

__version__: str
