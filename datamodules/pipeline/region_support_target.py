"""Ground truth of the Region Support Network: spatially connected regions of stable depth, and their mean depth."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label as label_components

Link = Literal["dist2", "8", "4"]
Unlabeled = Literal["zero", "depth_components", "nearest"]
Split = Literal["merged", "printed"]
Regions = Literal["refined", "connected"]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class RegionSupport:
    """Region support of a frame ("Region Support Network", algorithm 1).

    The listing does not run as printed (it compares raster neighbours, never ends its outer loops and drops sparse
    bins and bin borders), so this is what its prose asks for: (1) every semantic class falls apart into connected
    regions; (2) a region as deep as two bins or more, a bin being the depth range of the image over ``bins``, is cut
    into bins from its minimum on, where bins that hold too few pixels are merged with those above, without limit, until
    they hold enough together; (3) every region is labelled with its mean depth.

    Regions are connected by label alone, so holes of the depth map do not cut them, but a labelled pixel without valid
    depth belongs to no region afterwards: it has id 0 and support 0.

    Args:
        bins: number of bins that the depth range of the image makes.
        min_fill: a bin stands on its own if it holds more than this fraction of the average population of the
            region's bins. The comparison is strict: bins that are exactly average are merged at the default of 1. The
            last bin of a region stands, or ends what is merged, whatever it holds.
        link: which pixels of one class are neighbours: those at a distance of at most two pixels (the 12 of the
            paper), or the adjacent 8 or 4.
        split: what becomes of sparse bins: they are ``merged``; or they are dropped as ``printed``, see
            :func:`split_as_printed`.
        regions: that are returned with the support: the ``refined`` ones, of which it holds the means, or the
            ``connected`` ones of part 1, which the listing names as its output.
        unlabeled: ``zero`` leaves pixels of label 0 without region; ``depth_components`` treats them as one more class;
            with ``nearest`` they join the connected region of the nearest labelled pixel before it is cut by depth.

    Raises:
        ValueError: if an argument is out of range, naming it.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"region_support", "regions"})

    bins: int = 10
    min_fill: float = 1.0
    link: Link = "dist2"
    unlabeled: Unlabeled = "zero"
    split: Split = "merged"
    regions: Regions = "refined"

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"RegionSupport: `bins` must be at least 1, got {self.bins}")
        if not self.min_fill >= 0:
            raise ValueError(f"RegionSupport: `min_fill` must be a fraction of at least 0, got {self.min_fill}")
        for key, names in (("link", Link), ("unlabeled", Unlabeled), ("split", Split), ("regions", Regions)):
            known = get_args(names)
            if getattr(self, key) not in known:
                raise ValueError(
                    f"RegionSupport: `{key}` must be one of {', '.join(known)}, got {getattr(self, key)!r}"
                )

    def __call__(self, labels: Ids, depth: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ids]:
        """Return region support and refined regions of one frame.

        Args:
            labels: (H, W) integer semantic ids; 0 = unlabelled.
            depth: (H, W) metres; 0 = invalid.

        Returns:
            Support, (H, W) float32 metres, and regions, (H, W) int64 ids 1..K. Connected regions are numbered in raster
            order of their first pixel, the bins of one region by ascending depth. Both are 0 where a pixel is
            unlabelled or without valid depth.

        Raises:
            ValueError: if the two are not maps of one size.
        """
        if labels.ndim != 2 or labels.shape != depth.shape:
            raise ValueError(
                f"RegionSupport: `labels` and `depth` must be (H, W) maps of one size, "
                f"got {labels.shape} and {depth.shape}"
            )
        if self.unlabeled == "depth_components":
            labels = labels.astype(np.int64) + 1
        connected = connected_regions(labels, self.link)
        if self.unlabeled == "nearest":
            connected = fill_from_nearest(connected)
        if self.split == "printed":
            refined = split_as_printed(connected, depth, self.bins)
        else:
            refined = split_by_depth(connected, depth, self.bins, self.min_fill)
        support = region_means(refined, depth)
        return support, refined if self.regions == "refined" else np.where(is_valid(depth), connected, 0)


def connected_regions(labels: NDArray[Any], link: Link = "dist2") -> Ids:
    """Return spatially connected regions of equal label (algorithm 1, part 1).

    Args:
        labels: (H, W) integer ids; 0 = unlabelled.
        link: which pixels are neighbours, see :class:`RegionSupport`.

    Returns:
        (H, W) int64 ids 1..K in raster order of the regions' first pixels; 0 = unlabelled.
    """
    ids = label_components(labels, background=0, connectivity=1 if link == "4" else 2)
    if link == "dist2":
        # 8 of the 12 pixels within a distance of two are adjacent: what is left is to join regions across one pixel.
        bridges = [_bridges(ids, labels), _bridges(ids.T, labels.T)]
        one, other = np.concatenate(bridges, axis=1)
        count = ids.max(initial=0) + 1
        graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
        ids = connected_components(graph, directed=False)[1][ids]
    return _number_in_raster_order(ids, labels != 0)


def fill_from_nearest(regions: Ids) -> Ids:
    """Return ids (H, W) where pixels of id 0 took the id of the nearest other pixel; a map of zeros stays as it is.

    Args:
        regions: (H, W) ids; 0 = none.
    """
    if not regions.any():
        return regions
    rows, columns = distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
    return regions[rows, columns]


def split_by_depth(connected: Ids, depth: NDArray[Any], bins: int = 10, min_fill: float = 1.0) -> Ids:
    """Cut connected regions of large depth range into depth bins (algorithm 1, part 2).

    A bin is ``(max depth - min depth) / bins`` of the image wide and half-open, [start, end); a region's last one is
    closed. Regions narrower than two bins stay whole.

    Args:
        connected: (H, W) ids 1..K; 0 = none.
        depth: (H, W) metres; 0 = invalid.
        bins: see :class:`RegionSupport`.
        min_fill: see :class:`RegionSupport`.

    Returns:
        (H, W) int64 ids 1..K', by connected region, then by ascending depth; 0 where region or valid depth is missing.
    """
    refined = np.zeros(connected.shape, dtype=np.int64)
    valid = is_valid(depth)
    inside = valid & (connected > 0)
    if not inside.any():
        return refined
    z, region = depth[inside].astype(np.float64), connected[inside]
    count = region.max() + 1
    nearest, farthest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(nearest, region, z)
    np.maximum.at(farthest, region, z)

    width = np.ptp(depth[valid].astype(np.float64)) / bins or 1.0  # of a flat image: anything
    extent = np.maximum(farthest - nearest, 0) / width  # of every region, in bins; 0 for ids without valid pixels
    last = np.where(extent < 2, 0, np.minimum(np.ceil(extent), bins) - 1).astype(np.int64)
    slot = np.minimum(((z - nearest[region]) / width).astype(np.int64), last[region])

    population = np.bincount(region * bins + slot, minlength=count * bins).reshape(count, bins)
    average = population.sum(axis=1) / np.maximum(extent, 1)
    part = _merge_sparse(population, min_fill * average)
    key = region * bins + part[region, slot]
    refined[inside] = np.cumsum(np.bincount(key) > 0)[key]
    return refined


def split_as_printed(connected: Ids, depth: NDArray[Any], bins: int = 10) -> Ids:
    """Cut connected regions of large depth range as lines 33 and 38 to 58 of algorithm 1 are printed.

    A region's bins begin at its minimum and are open on both sides; only those that end below its maximum are looked
    at, and one is a region of its own if it has more than ``len(d) / (max(d) - min(d)) / var`` pixels, in metres.
    All other pixels of the region drop out.

    Args:
        connected: (H, W) ids 1..K; 0 = none.
        depth: (H, W) metres; 0 = invalid.
        bins: see :class:`RegionSupport`.

    Returns:
        (H, W) int64 ids 1..K', by connected region, then by ascending depth; 0 where a pixel is in no region.
    """
    refined = np.zeros(connected.shape, dtype=np.int64)
    inside = is_valid(depth) & (connected > 0)
    if not inside.any():
        return refined
    width = np.ptp(depth[is_valid(depth)].astype(np.float64)) / bins
    count = 0
    for region in np.unique(connected[inside]):
        pixels = inside & (connected == region)
        z = depth[pixels].astype(np.float64)
        extent = np.ptp(z)
        parts = [np.ones(z.shape, dtype=bool)]
        if extent >= 2 * width:
            starts = z.min() + width * np.arange(bins)
            parts = [(z > start) & (z < start + width) for start in starts if start + width < z.max()]
            parts = [part for part in parts if part.sum() > len(z) / extent / width]
        for part in parts:
            count += 1
            refined[pixels] = np.where(part, count, refined[pixels])
    return refined


def is_valid(depth: NDArray[Any]) -> NDArray[np.bool_]:
    """Return pixels (H, W) with a depth."""
    return np.isfinite(depth) & (depth > 0)


def region_means(regions: Ids, depth: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean depth of every pixel's region (algorithm 1, the support), (H, W) float32; 0 in region 0.

    Args:
        regions: (H, W) ids 1..K of pixels with valid depth; 0 = none.
        depth: (H, W) metres.
    """
    inside = regions > 0
    region = regions[inside]
    means = np.bincount(region, weights=depth[inside]) / np.maximum(np.bincount(region), 1)
    support = np.zeros(regions.shape, dtype=np.float32)
    support[inside] = means[region]
    return support


def _bridges(ids: Ids, labels: NDArray[Any]) -> Ids:
    """Pairs (2, n) of regions with pixels of one label two rows apart."""
    joined = (labels[:-2] == labels[2:]) & (ids[:-2] != ids[2:])
    return np.stack([ids[:-2][joined], ids[2:][joined]])


def _number_in_raster_order(ids: Ids, inside: NDArray[np.bool_]) -> Ids:
    """Renumber the ids of the pixels ``inside`` to 1..K in order of first appearance; 0 elsewhere."""
    present = ids[inside]
    first = np.full(present.max(initial=0) + 1, present.size)
    np.minimum.at(first, present, np.arange(present.size))
    number = np.empty_like(first)
    number[np.argsort(first)] = np.arange(1, first.size + 1)
    numbered = np.zeros(ids.shape, dtype=np.int64)
    numbered[inside] = number[present]
    return numbered


def _merge_sparse(population: Ids, enough: NDArray[np.float64]) -> Ids:
    """Part (regions, bins), 0-based, that every bin belongs to: it ends at the bin that lifts it above ``enough``."""
    part = np.zeros_like(population)
    held = population[:, 0].copy()
    for column in range(1, population.shape[1]):
        full = held > enough
        part[:, column] = part[:, column - 1] + full
        held = np.where(full, 0, held) + population[:, column]
    return part
