"""The smallest method that has everything whose state a resumed training must find again."""

from torch import nn

from lightning_modules.depth_module import DepthModule
from lightning_modules.prediction import Prediction


class TinyMethod(DepthModule):
    """Depth from 3x3 colours, through batch norm (running statistics) and dropout (random numbers)."""

    normalization = ((0.5,) * 3, (0.25,) * 3)

    def __init__(self, **options):
        super().__init__(**options)
        self.network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.3), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1)
        )

    def forward(self, batch):
        return Prediction(depth=nn.functional.softplus(self.network(batch["image"])) + 0.1)
