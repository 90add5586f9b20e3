"""The structured depth loss of guided MTI-Net: absolute error, gradients, and smoothness away from edges."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.losses.reduction import masked_mean
from lightning_modules.losses.shapes import check_same_shape

GradientFilter = Literal["forward", "sobel"]
EdgeSource = Literal["edges", "image"]


class StructuredDepthLoss(nn.Module):
    r"""``alpha L1 + beta gradient + gamma edge-aware`` (guided MTI-Net, section 5.3.1).

    The paper publishes no weights and no formula of the second and third term. With prediction p and truth g in units
    of ``unit`` metres, means over the batches of all processes, and forward differences :math:`\partial_x, \partial_y`:

    * L1: mean :math:`|p - g|` over valid pixels.
    * gradient: the sum over x and y of mean :math:`|\partial p - \partial g|`, over pairs of valid pixels. With
      ``scales`` > 1 also of maps of which every second, every fourth, ... pixel is taken, summed over scales (Li and
      Snavely, "MegaDepth", CVPR 2018, equation 8).
    * edge-aware: the sum over x and y of mean :math:`|\partial p|\,w`, over all pixels. The weight is
      :math:`1 - E` with the true edges E, or :math:`e^{-|\partial I|}` with the mean absolute difference of the image's
      channels (Godard et al., CVPR 2017, equation 5).

    Args:
        alpha: weight of L1.
        beta: weight of the gradient term.
        gamma: weight of the edge-aware term.
        unit: metres that are 1.
        gradient: ``forward`` differences, or ``sobel`` filters (over pixels whose 3x3 neighbours are all valid).
        scales: of the gradient term.
        edge_source: ``edges`` or ``image``.

    Raises:
        ValueError: if a weight is negative, ``unit`` or ``scales`` is not positive, or an option is unknown.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 0.1,
        unit: float = 10.0,
        gradient: GradientFilter = "forward",
        scales: int = 1,
        edge_source: EdgeSource = "edges",
    ) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
            if value < 0:
                raise ValueError(f"`{name}` must not be negative, got {value}")
        if unit <= 0 or scales < 1:
            raise ValueError(f"`unit` and `scales` must be positive, got {unit} and {scales}")
        if gradient not in get_args(GradientFilter):
            raise ValueError(f"`gradient` must be forward or sobel, got {gradient!r}")
        if edge_source not in get_args(EdgeSource):
            raise ValueError(f"`edge_source` must be edges or image, got {edge_source!r}")
        self.weights = {"l1": alpha, "gradient": beta, "edge_aware": gamma}
        self.unit, self.gradient, self.scales, self.edge_source = unit, gradient, scales, edge_source

    @property
    def needs(self) -> str | None:
        """Name what the edge-aware term reads besides depth: ``edges``, ``image``, or None where it has no weight."""
        return self.edge_source if self.weights["edge_aware"] else None

    def forward(self, prediction: Tensor, target: Tensor, valid: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sum of :meth:`terms`, a scalar, of the same arguments."""
        return torch.stack(list(self.terms(prediction, target, valid, guide).values())).sum()

    def terms(
        self, prediction: Tensor, target: Tensor, valid: Tensor, guide: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the weighted terms by name, without those of weight 0; in float32 at least, under autocast too.

        Args:
            prediction: (B, 1, H, W) depth, metres.
            target: (B, 1, H, W) true depth, metres.
            valid: (B, 1, H, W) bool.
            guide: (B, 1, H, W) edges in {0, 1}, or the image (B, 3, H, W), as :attr:`needs` says.

        Returns:
            Scalars ``l1``, ``gradient`` and ``edge_aware``; 0 with zero gradients if no pixel is valid.

        Raises:
            ValueError: if shapes differ, or the guide is missing.
        """
        check_same_shape(prediction, target, valid)
        if self.needs and (guide is None or guide.shape[-2:] != target.shape[-2:]):
            raise ValueError(f"the edge-aware term needs `{self.needs}` at the size of the depth; or set `gamma: 0`")
        dtype = torch.promote_types(prediction.dtype, torch.float32)
        prediction = prediction.to(dtype) / self.unit
        # invalid pixels hold a perfect prediction: whatever they were, no difference is infinite
        target = (target.to(dtype) / self.unit).where(valid, prediction.detach())
        unweighted = {
            "l1": lambda: masked_mean((prediction - target).abs(), valid),
            "gradient": lambda: self._gradient(prediction - target, valid),
            "edge_aware": lambda: self._edge_aware(prediction, guide),
        }
        return {name: weight * unweighted[name]() for name, weight in self.weights.items() if weight}

    def _gradient(self, error: Tensor, valid: Tensor) -> Tensor:
        """Return the gradient term of the error (B, 1, H, W), whose slopes are those of prediction less truth."""
        error = error.where(valid, 0.0)
        loss = error.new_zeros(())
        for scale in range(self.scales):
            step = 2**scale
            part, seen = error[..., ::step, ::step], valid[..., ::step, ::step]
            slopes = sobel_slopes(part, seen) if self.gradient == "sobel" else forward_differences(part, seen)
            loss = loss + sum(masked_mean(slope.abs(), pairs) for slope, pairs in slopes)
        return loss

    def _edge_aware(self, prediction: Tensor, guide: Tensor | None) -> Tensor:
        """Return the edge-aware term of depth (B, 1, H, W), in units, and what :attr:`needs` names."""
        assert guide is not None
        everywhere = torch.ones_like(prediction, dtype=torch.bool)
        guide = guide.to(prediction.dtype)
        if self.edge_source == "edges":
            weights = (1 - guide[..., :-1], 1 - guide[..., :-1, :])
        else:
            along = (slope for slope, _ in forward_differences(guide, torch.ones_like(guide, dtype=torch.bool)))
            weight_x, weight_y = ((-slope.abs().mean(1, keepdim=True)).exp() for slope in along)
            weights = (weight_x, weight_y)
        slopes = forward_differences(prediction, everywhere)
        return torch.stack(
            [masked_mean(slope.abs() * weight, pairs) for (slope, pairs), weight in zip(slopes, weights, strict=True)]
        ).sum()


def forward_differences(values: Tensor, valid: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return slopes along x (B, C, H, W - 1) and y (B, C, H - 1, W), each with a mask of where both pixels are valid.

    A slope is the next value minus this one.

    Args:
        values: (B, C, H, W).
        valid: bool, of the same shape.
    """
    return [
        (values[..., 1:] - values[..., :-1], valid[..., 1:] & valid[..., :-1]),
        (values[..., 1:, :] - values[..., :-1, :], valid[..., 1:, :] & valid[..., :-1, :]),
    ]


def sobel_slopes(values: Tensor, valid: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return Sobel slopes along x and y (B, 1, H - 2, W - 2), each with a mask of where all 3x3 pixels are valid.

    The kernels are divided by 8, so that the slope of a plane is its rise from pixel to pixel.

    Args:
        values: (B, 1, H, W).
        valid: bool, of the same shape.
    """
    across = values[..., 2:] - values[..., :-2]
    down = values[..., 2:, :] - values[..., :-2, :]
    slope_x = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 8
    slope_y = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 8
    whole = -F.max_pool2d(-valid.to(values.dtype), 3, stride=1) > 0
    return [(slope_x, whole), (slope_y, whole)]
