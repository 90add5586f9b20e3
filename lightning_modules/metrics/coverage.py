"""Of how many pixels a method says nothing."""

from torch import Tensor

from lightning_modules.metrics.exact_sums import ExactSums


class Coverage(ExactSums):
    """Pixels that figures leave out because the method has no depth there; of all images together.

    ===================  ===============================================================
    ``excluded``         pixels with true depth and without a prediction, their number
    ``pixels_covered``   share of the pixels with true depth that have a prediction
    ===================  ===============================================================
    """

    seen: Tensor
    missed: Tensor

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
        """The figures, scalars; a share of no pixels is NaN."""
        missed = self.missed.double() if self.missed.device.type != "mps" else self.missed.float()
        return {"pixels_covered": 1 - missed / self.seen, "excluded": missed}
