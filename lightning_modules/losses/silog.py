"""The scale-invariant logarithmic loss."""

from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.losses.gradient_matching import gradient_matching
from lightning_modules.losses.reduction import sum_over_processes
from lightning_modules.losses.shapes import check_same_shape


class SILogLoss(nn.Module):
    r"""Scale-invariant logarithmic loss (Eigen et al. 2014, Eq. 4).

    With :math:`e = \ln\hat d - \ln d` on the valid pixels,

    .. math:: L = \sqrt{\overline{e^2} - \lambda\,\bar e^2}
                = \sqrt{\overline{(e - \bar e)^2} + (1 - \lambda)\,\bar e^2},

    the right-hand side being what is computed: no difference of nearly equal numbers in float32. Depth Anything v2
    trains metric depth with lambda 0.5 and the root, BTS with lambda 0.85 and scale 10, Eigen et al. without the root.
    Means are over the batches of all processes, so that the loss does not depend on their number.

    Args:
        lam: 0 (plain log error) to 1 (blind to scale).
        form: ``sqrt``, or ``raw``, Eigen et al.'s equation without the root.
        scale: factor on the loss.
        reduction: ``batch`` over all valid pixels of the batch, or ``image``, the mean over the images that have any.
        eps: floor under the root, whose slope at 0 is infinite, and floor of the prediction under the logarithm;
            below a floor the gradient is 0.
        grad_matching: weight of :func:`~lightning_modules.losses.gradient_matching.gradient_matching` of the log error,
            before ``scale``; 0.5 in DPT's recipe, 0 leaves it out.

    Raises:
        ValueError: if ``lam`` is outside [0, 1], ``grad_matching`` negative, or ``form`` or ``reduction`` unknown.
    """

    def __init__(
        self,
        lam: float = 0.5,
        form: Literal["sqrt", "raw"] = "sqrt",
        scale: float = 1.0,
        reduction: Literal["batch", "image"] = "batch",
        eps: float = 1e-8,
        grad_matching: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= lam <= 1:
            raise ValueError(f"`lam` must be in [0, 1], got {lam}")
        if form not in ("sqrt", "raw"):
            raise ValueError(f"`form` must be sqrt or raw, got {form!r}")
        if reduction not in ("batch", "image"):
            raise ValueError(f"`reduction` must be batch or image, got {reduction!r}")
        if grad_matching < 0:
            raise ValueError(f"`grad_matching` must not be negative, got {grad_matching}")
        self.grad_matching = grad_matching
        self.invariant_to = "scale" if lam == 1 else ""  # what a prediction may differ from the truth by at no loss
        self.lam, self.form, self.scale, self.reduction, self.eps = lam, form, scale, reduction, eps

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Compute the loss in float32 at least, under autocast too.

        Args:
            prediction: (B, 1, H, W) depth, metres.
            target: (B, 1, H, W) true depth, metres, positive where valid.
            valid: (B, 1, H, W) bool.

        Returns:
            Scalar; 0 with zero gradients if no pixel is valid.

        Raises:
            ValueError: if the three shapes differ.
        """
        check_same_shape(prediction, target, valid)
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        # Masked before the logarithm: an invalid pixel has log error 0 and gradient 0, whatever it holds.
        prediction, target = prediction.to(dtype).where(valid, 1.0), target.to(dtype).where(valid, 1.0)
        log_error = prediction.clamp(min=self.eps).log() - target.log()

        whole = self.reduction == "batch"
        pixels = (0, 1, 2, 3) if whole else (1, 2, 3)

        def total(values: Tensor) -> Tensor:
            sums = values.sum(pixels, keepdim=True)
            return sum_over_processes(sums) if whole else sums

        count = total(valid.to(dtype))
        mean = total(log_error) / count.clamp(min=1)
        variance = total((log_error - mean).where(valid, 0.0).square()) / count.clamp(min=1)
        loss = variance + (1 - self.lam) * mean.square()
        if self.form == "sqrt":
            loss = loss.clamp(min=self.eps).sqrt()
        if self.grad_matching:
            loss = loss + self.grad_matching * gradient_matching(log_error, valid, total)
        seen = count > 0
        losses, images = loss.where(seen, 0.0 * loss).sum(), seen.sum().to(dtype)
        if not whole:
            losses, images = sum_over_processes(torch.stack([losses, images]))
        return self.scale * losses / images.clamp(min=1)
