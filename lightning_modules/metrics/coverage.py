"""Of how many pixels a method says nothing."""

from typing import ClassVar

from torch import Tensor

from lightning_modules.metrics.exact_sums import ExactSums
from lightning_modules.metrics.metric_info import LEFT_OUT, Infos, MetricInfo
from lightning_modules.metrics.precision import accumulation_dtype


class Coverage(ExactSums):
    """Pixels that metrics leave out because the method has no depth there; of all images together.

    ===================  ===============================================================
    ``excluded``         pixels with true depth and without a prediction, their number
    ``pixels_covered``   share of the pixels with true depth that have a prediction
    ===================  ===============================================================
    """

    seen: Tensor
    missed: Tensor

    group = "coverage"
    reads = "covered"
    needs = ("valid",)
    info: ClassVar[Infos] = {"pixels_covered": MetricInfo()}
    counts: ClassVar[Infos] = {"excluded": LEFT_OUT}

    def __init__(self) -> None:
        super().__init__()
        self.add_count("seen")
        self.add_count("missed")

    def update(self, covered: Tensor, valid: Tensor) -> None:
        """Add a batch of pixels with a prediction and of those with truth, both (B, 1, H, W) bool."""
        seen, missed = (pixels.sum((1, 2, 3)) for pixels in (valid, valid & ~covered))
        self.seen += seen.sum()
        self.missed += missed.sum()
        self.per_image = {"pixels_covered": 1 - missed / seen}

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics, scalars; a share of no pixels is NaN."""
        missed = self.missed.to(accumulation_dtype(self.missed.device))
        return {"pixels_covered": 1 - missed / self.seen, "excluded": missed}
