"""Whether a method knows where it is wrong: errors of the pixels that it is surest of."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.depth_errors import LOG_FLOOR
from lightning_modules.metrics.depth_metric import DepthMetric
from lightning_modules.metrics.image_means import ImageMeans
from lightning_modules.metrics.metric_info import LEFT_OUT_OF_DETAILS, Infos, higher, lower
from lightning_modules.metrics.protocol import EvalProtocol, Prepared

#: Shares of the pixels that are kept.
KEEP = (0.9, 0.75, 0.5, 0.25)

#: Base errors, and their units.
BASES = {"abs_rel": "", "rmse": "m"}


class Sparsification(DepthMetric, ImageMeans):
    r"""Area under the sparsification error curve (AUSE; Ilg et al. 2018, ECCV), and errors of the surest pixels.

    E(m) is the error of the m pixels of an image that its ``uncertainty`` is lowest at, O(m) that of the m pixels whose
    own error is smallest (the oracle), both for m = 1 ... n evaluated pixels. The base errors are ``abs_rel`` and
    ``rmse`` as :class:`DepthErrors` defines them, not normalised, as Poggi et al. 2020 (CVPR) give them:

    ===========================  ==================================================================  ======
    ``ause_abs_rel``             mean over m of E(m) - O(m)                                          lower
    ``aurg_abs_rel``             mean over m of E(n) - E(m), the area under the random gain          higher
    ``ause_abs_rel_normalized``  ``ause_abs_rel`` / E(n), the area between curves that begin at 1,   lower
                                 as Ilg et al. plot them: it compares methods of unlike accuracy
    ``sparsified_abs_rel@0.5``   E(n / 2): the error once the less certain half is left out; one     lower
                                 for each share of ``keep``
    ===========================  ==================================================================  ======

    and the same of ``rmse``, in metres. An order of the pixels that is that of their errors has ``ause`` 0; one that
    says nothing has ``aurg`` 0, and one that misleads is below. The means are over all m, not over 50 steps as those of
    Poggi et al. Pixels of equal uncertainty count as if they were left out in random order. Each is computed image by
    image and averaged over images. Where E(n) is 0 the normalised area is 0.

    Only the order of the pixels counts, neither unit nor scale of the uncertainty, and one order serves both errors.

    ``excluded`` counts images without an evaluated pixel, ``nonfinite`` NaN or infinite depths and uncertainties on
    evaluated pixels, as :class:`CountedMeans` explains.

    Args:
        protocol: range, crop and alignment; its ``averaging`` is not read.
        keep: shares of the pixels, the surest, whose errors are given.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless all shares are in (0, 1].
    """

    group = "uncertainty"
    also_reads = ("uncertainty",)
    info: ClassVar[Infos] = {
        **{f"ause_{base}": lower(unit) for base, unit in BASES.items()},
        **{f"aurg_{base}": higher(unit) for base, unit in BASES.items()},
        **{f"ause_{base}_normalized": lower(detail=True) for base in BASES},
        **{f"sparsified_{base}@{{share}}": lower(unit, detail=True) for base, unit in BASES.items()},
    }
    counts: ClassVar[Infos] = {"excluded": LEFT_OUT_OF_DETAILS, "nonfinite": LEFT_OUT_OF_DETAILS}

    def __init__(self, protocol: EvalProtocol, keep: Sequence[float] = KEEP, **kwargs: Any) -> None:
        if not all(0 < share <= 1 for share in keep):
            raise ValueError(f"`uncertainty.keep` are shares of the pixels, in (0, 1], got {tuple(keep)}")
        self.keep = tuple(keep)
        super().__init__(protocol, **kwargs)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys that each image has, in the order of the sums."""
        areas = (f"{area}_{base}" for area in ("ause", "aurg") for base in BASES)
        normalized = (f"ause_{base}_normalized" for base in BASES)
        return (*areas, *normalized, *(f"sparsified_{base}@{share:g}" for share in self.keep for base in BASES))

    def add(self, prepared: Prepared, uncertainty: Tensor) -> None:
        """Add a prepared batch.

        Args:
            prepared: the batch.
            uncertainty: (B, 1, h, w) of the predicted depth, at any size and floating dtype; high where it is unsure.

        Raises:
            ValueError: if the uncertainty is no map of these images.
        """
        prediction, target, valid = prepared
        if uncertainty.ndim != 4 or uncertainty.shape[:2] != target.shape[:2]:
            raise ValueError(
                f"`uncertainty` must be (B, 1, h, w) of {len(target)} images, got {tuple(uncertainty.shape)}"
            )
        size, corners = target.shape[-2:], self.protocol.align_corners
        unsure = F.interpolate(uncertainty.to(target), size, mode="bilinear", align_corners=corners)
        spoilt = valid & ~(prediction.isfinite() & unsure.isfinite())
        rows = []
        for depth, true, order, evaluated, bad in zip(prediction, target, unsure, valid, spoilt, strict=True):
            if bad.any() or not evaluated.any():
                rows.append(target.new_full((len(self.keys),), torch.nan))
            else:
                rows.append(self._image(depth[evaluated], true[evaluated], order[evaluated]))
        self.add_images(dict(zip(self.keys, torch.stack(rows).unbind(1), strict=True)), spoilt)

    def _image(self, depth: Tensor, true: Tensor, unsure: Tensor) -> Tensor:
        """Return the values of one image by its pixels, each (n,), in the order of ``keys``."""
        error = (depth - true).abs()
        reference = true if self.protocol.relative_to == "truth" else depth.clamp(min=LOG_FLOOR)
        per_pixel = torch.stack([error / reference, error.square()])
        own = _with_root(sparsification_curve(per_pixel, unsure))
        best = _with_root(torch.stack([sparsification_curve(errors[None], errors)[0] for errors in per_pixel]))
        ause, whole = (own - best).mean(1), own[:, -1]
        gain = (whole[:, None] - own).mean(1)
        normalized = torch.where(whole > 0, ause / whole, 0.0)
        kept = [own[:, max(1, round(share * len(true))) - 1] for share in self.keep]
        return torch.cat([ause, gain, normalized, *kept])


def sparsification_curve(errors: Tensor, uncertainty: Tensor) -> Tensor:
    """Return the mean error of the m surest pixels, for m = 1 ... n.

    Args:
        errors: (K, n) errors of several kinds.
        uncertainty: (n,) of the pixels. Equal ones are in random order: each has the mean error of all of them.

    Returns:
        (K, n) means.
    """
    ascending, order = uncertainty.sort()
    _, ties, sizes = ascending.unique_consecutive(return_inverse=True, return_counts=True)
    ordered = errors[:, order]
    if len(sizes) < len(order):
        ordered = (errors.new_zeros(len(errors), len(sizes)).index_add_(1, ties, ordered) / sizes)[:, ties]
    return ordered.cumsum(1) / torch.arange(1, len(order) + 1, device=errors.device)


def _with_root(curves: Tensor) -> Tensor:
    """Return curves (2, n) of relative error and root mean square error, of those of relative and square error."""
    return torch.stack([curves[0], curves[1].sqrt()])
