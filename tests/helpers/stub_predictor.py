"""Predictors without training: the smallest method, and one that obeys the camera model."""

import torch
from torch import nn

from datamodules.pipeline.transforms import Finish
from experiments.inference.cameras import TrainingCamera
from experiments.inference.input_view import InputView
from experiments.inference.predictor import Predictor
from experiments.inference.scale import Scale
from lightning_modules.depth_module import DepthModule
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction
from tests.helpers.tiny_method import TinyMethod

PROTOCOL = EvalProtocol(name="whole", min_depth=1e-3, max_depth=10)

#: Metres that a wave of the pattern in :func:`wave_wall` covers.
WAVE = 0.5


class PinholeStub(DepthModule):
    """Depth of a wall of waves, by how many pixels a wave covers: as far as it would be with the training's camera."""

    normalization = ((0.0,) * 3, (1.0,) * 3)

    def __init__(self, focal: float):
        super().__init__(protocol=PROTOCOL)
        self.network, self.focal = nn.Identity(), focal

    def forward(self, batch):
        image = batch["image"].double().mean(1, keepdim=True)
        weights = torch.hann_window(image.shape[-1], periodic=False, dtype=torch.float64)  # waves may be cut at an edge
        waves = image - (image * weights).sum(-1, keepdim=True) / weights.sum()
        slope = (waves[..., 2:] - waves[..., :-2]) / 2  # of a sine of w radians a pixel: sin w times a cosine
        steep = (slope.square() * weights[1:-1]).sum((1, 2, 3))
        high = (waves.square() * weights).sum((1, 2, 3))
        frequency = (steep / high).sqrt().clamp(max=1).asin()
        depth = self.focal * WAVE * frequency / (2 * torch.pi)
        return Prediction(depth=depth[:, None, None, None].expand_as(image).float())


def wave_wall(height, width, focal, depth):
    """An image (3, H, W) uint8 of a wall, seen head-on, with vertical waves of `WAVE` metres."""
    pixels = focal * WAVE / depth
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    wave = 127.5 + 100 * torch.sin(2 * torch.pi * columns / pixels)
    return wave.round().byte().expand(3, height, width).contiguous()


def stub_view(size, *, squeezed=False, multiple=1, normalization=((0.0,) * 3, (1.0,) * 3)):
    """A view without colour steps and superpixels."""
    return InputView(size, squeezed, multiple, False, (), (), Finish(*normalization))


def pinhole_predictor(focal=200.0, size=(96, 128)):
    """A predictor that obeys the camera model."""
    scale = Scale(TrainingCamera(focal, focal, focal))
    return Predictor(PinholeStub(focal), stub_view(size), scale=scale, device="cpu")


def tiny_predictor(size=(24, 32), **options):
    """A predictor of the smallest method, with random weights."""
    torch.manual_seed(0)
    method = TinyMethod(protocol=PROTOCOL)
    view = stub_view(size, multiple=4, normalization=method.normalization)
    return Predictor(method, view, device="cpu", source="tiny", **options)
