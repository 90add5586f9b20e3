"""Trained runs as objects that infer depth, segments and classes of images."""

from experiments.inference.cameras import Camera
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.ensemble import Ensemble, load
from experiments.inference.predictor import Predictor
from experiments.inference.released_model import ReleasedModel

__all__ = ["Camera", "DepthPrediction", "Ensemble", "Predictor", "ReleasedModel", "load"]
