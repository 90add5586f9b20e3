"""Trained runs as objects that infer depth, segments and classes of images."""

from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.predictor import Predictor, load

__all__ = ["DepthPrediction", "Predictor", "load"]
