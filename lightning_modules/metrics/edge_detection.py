"""How right predicted edges are: pixel by pixel at one threshold, and as the Berkeley benchmark matches them."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.metrics.edge_matching import match_levels, thin
from lightning_modules.metrics.exact_sums import CountedMeans
from lightning_modules.metrics.metric_info import Infos, higher
from lightning_modules.metrics.precision import accumulation_dtype

KEYS = {f"edge_{name}": higher() for name in ("precision", "recall", "f1", "ods", "ois")}


class EdgeDetection(CountedMeans):
    r"""Precision, recall and F1 of edges at one threshold, and their best F over thresholds (ODS, OIS).

    Pixel by pixel, over all pixels of the set, with an edge predicted where its probability reaches ``threshold``:
    ``edge_precision``, the share of predicted edge pixels that are true, ``edge_recall``, the share of true ones that
    are predicted, and ``edge_f1``, their harmonic mean. They know no tolerance: an edge beside the true one is wrong.

    ``edge_ods`` and ``edge_ois`` follow the Berkeley benchmark (Arbelaez et al. 2011, section 2.3; matching: Martin et
    al. 2004). At each of ``levels`` thresholds the predicted edges are thinned to lines, and their pixels matched one
    to one to those of the true edges, at most ``tolerance`` of the image's diagonal away. With M matched, P predicted
    and T true pixels of the set,

    * ``edge_ods``: the largest :math:`F = 2M / (P + T)` over the thresholds, one threshold for the whole set;
    * ``edge_ois``: the same F with M and P of each image at the threshold that is best for that image; of equally good
      ones the highest.

    Three things differ from the benchmark. The truth is thinned as well: borders of segments are two pixels wide here,
    and one-to-one matching would call half of them missed, while the benchmark's are thin. M is the size of a maximum
    matching; the benchmark assigns pixels at least total cost, where an unmatched one costs 100 tolerances, which comes
    to the same number of pairs but for its sampling of the unmatched. And it has 99 thresholds, of the same form
    i / (levels + 1); fewer can only miss the best one.

    All are shares in [0, 1], higher is better; without a predicted edge precision is 0. An image without a true edge
    has no recall but counts: what is predicted on it lowers precision and F. ``excluded`` is the number of such images.
    If no image has a true edge, all are NaN. ``nonfinite`` counts NaN and infinite logits; a single one makes all NaN.
    ``per_image`` has ``edge_f1``, NaN where neither the truth nor the prediction has an edge.

    Args:
        threshold: probability from which on a pixel is an edge, of precision, recall and F1.
        levels: number of thresholds of ODS and OIS; 99 in the benchmark.
        tolerance: share of the image's diagonal; 0.0075 in the benchmark.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless 0 < threshold < 1, levels >= 1 and 0 <= tolerance <= 1.
    """

    pixels: Tensor
    matches: Tensor
    best: Tensor
    true: Tensor

    group = "edge"
    reads = "edges"
    needs = ("edges",)
    info: ClassVar[Infos] = KEYS

    def __init__(self, threshold: float = 0.5, levels: int = 9, tolerance: float = 0.0075, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (0 < threshold < 1 and levels >= 1 and 0 <= tolerance <= 1):
            raise ValueError(
                "edges need 0 < threshold < 1, levels >= 1 and 0 <= tolerance <= 1, "
                f"got threshold={threshold}, levels={levels} and tolerance={tolerance}"
            )
        self.threshold = threshold
        self.thresholds = [i / (levels + 1) for i in range(1, levels + 1)]
        self.tolerance = tolerance
        shapes: dict[str, tuple[int, ...]] = {
            "pixels": (3,),  # true positives, predicted, true
            "matches": (2, levels),  # of thin edges: matched, predicted
            "best": (2,),  # the same, at each image's best level
            "true": (),  # thin
        }
        for name, shape in shapes.items():
            self.add_count(name, *shape)

    def update(self, logits: Tensor, edges: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, 1, h, w) of edges, any floating dtype; resized to the truth's size (bilinear, in float64).
            edges: (B, 1, H, W) in {0, 1}, bool or of any number type.

        Raises:
            ValueError: if the shapes do not fit together, or an edge is neither 0 nor 1.
        """
        _check(logits, edges)
        logits = logits.detach().cpu().double()  # on the CPU edges are thinned and matched
        if logits.shape != edges.shape:
            logits = F.interpolate(logits, edges.shape[-2:], mode="bilinear", align_corners=False)
        finite, probability, truth = logits.isfinite(), logits.sigmoid(), edges.cpu() > 0
        predicted = probability >= self.threshold

        pixels = torch.stack([part.sum((1, 2, 3)) for part in (predicted & truth, predicted, truth)])
        intact = finite.flatten(1).all(1)
        self.pixels += pixels.sum(1).to(self.pixels.device)
        self.excluded += int((pixels[2] == 0).sum())
        self.nonfinite += int((~finite).sum())
        self.per_image = {"edge_f1": _f_measure(pixels).where(intact & (pixels[1] + pixels[2] > 0), torch.nan)}
        for image in intact.nonzero().flatten():
            self._match(probability[image, 0], truth[image, 0])

    def means(self) -> dict[str, Tensor]:
        """Return the metrics of the class docstring, scalars; NaN if no image has a true edge."""
        hits, predicted, true = self.pixels.to(accumulation_dtype(self.pixels.device))
        thin_true = self.true.expand(1, len(self.thresholds))
        values = (
            hits / predicted.clamp(min=1),
            hits / true,
            _f_measure(self.pixels),
            _f_measure(torch.cat([self.matches, thin_true])).max(),
            _f_measure(torch.cat([self.best, self.true[None]])),
        )
        return {key: value.where(true > 0, torch.nan) for key, value in zip(KEYS, values, strict=True)}

    def _match(self, probability: Tensor, truth: Tensor) -> None:
        """Add the thin edges of one image, (H, W) maps on the CPU."""
        true = thin(truth.numpy())
        radius = self.tolerance * math.hypot(*true.shape)
        counts = torch.from_numpy(match_levels(probability.numpy(), true, self.thresholds, radius))
        total = torch.tensor(int(true.sum()))
        scores = _f_measure(torch.cat([counts, total.expand(1, len(self.thresholds))]))
        best = counts[:, len(self.thresholds) - 1 - int(scores.flip(0).argmax())]
        device = self.matches.device
        self.matches += counts.to(device)
        self.best += best.to(device)
        self.true += total.to(device)


def _f_measure(counts: Tensor) -> Tensor:
    """F from (3, ...) counts of matched, predicted and true pixels; 0 where there is neither of the two."""
    matched, predicted, true = counts.to(accumulation_dtype(counts.device))
    return 2 * matched / (predicted + true).clamp(min=1)


def _check(logits: Tensor, edges: Tensor) -> None:
    maps = logits.ndim == edges.ndim == 4 and len(logits) == len(edges) and logits.shape[1] == edges.shape[1] == 1
    if not maps or not logits.is_floating_point():
        raise ValueError(
            "logits must be floating (B, 1, h, w) and edges (B, 1, H, W), "
            f"got {logits.dtype} {tuple(logits.shape)} and {tuple(edges.shape)}"
        )
    if not ((edges == 0) | (edges == 1)).all():
        raise ValueError(
            f"edges must be 0 or 1, got values in {float(edges.min())}..{float(edges.max())}; "
            "binarise an annotation of 8 bits with `> 127`"
        )
