"""Retrieval of layouts: does the image descriptor find other frames of the same scene?"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.metrics.exact_sums import SuiteMetric
from lightning_modules.metrics.gathering import gather_rows
from lightning_modules.metrics.metric_info import LEFT_OUT, Infos, higher
from lightning_modules.metrics.precision import accumulation_dtype

# Cosines closer than this are equal: products of the same two vectors differ in the last bits between block shapes.
TIE = 1e-6


class Neighbours(NamedTuple):
    """The k frames most similar to each of Q queries, the most similar first; frames are named by their rows.

    Attributes:
        rows: (Q, k) int64; k is smaller where there are fewer other frames.
        similarity: (Q, k) cosines, NaN where a descriptor has no direction.
        same_scene: (Q, k) bool, targets of ``scene_recall``.
        same_view: (Q, k) bool, targets of ``frame_recall``.
    """

    rows: Tensor
    similarity: Tensor
    same_scene: Tensor
    same_view: Tensor


class LayoutRetrieval(SuiteMetric):
    """Recall@K of image descriptors among all frames of the set (SHED, Fig. 5), by cosine similarity.

    Every frame is a query, and all other frames are its gallery. A frame of the gallery is a target

    * of ``scene_recall@K`` if it is of the query's scene,
    * of ``frame_recall@K`` if it also is at most ``frame_window`` frames away from the query.

    A query is a hit at K if a target is among its K most similar frames, that is, if fewer than K other frames are at
    least as similar as its best target. Ties thus count against the descriptor: one that is the same for all images
    scores 0, whatever the order of the frames. Recall is the share of hits among queries that have a target;
    ``excluded_scene`` and ``excluded_frame`` count those that have none. ``nonfinite`` counts descriptors without a
    direction (zero, NaN or infinite): a single one makes every recall NaN.

    Each frame must be added once over all processes: a sampler that pads the last batch by repeating frames would let
    a frame find itself.

    Args:
        ks: values of K.
        frame_window: frames around the query, either way, that count as the same view.
        chunk: frames compared at a time; memory beyond the descriptors is a few ``chunk`` x ``chunk`` matrices.
        kwargs: see :class:`torchmetrics.Metric`.

    Raises:
        ValueError: unless every K and ``chunk`` are positive and ``frame_window`` is not negative.
    """

    embeddings: list[Tensor]
    scenes: list[Tensor]
    frames: list[Tensor]

    group = "retrieval"
    reads = "embedding"
    needs = ("scene", "frame")
    info: ClassVar[Infos] = {"scene_recall@{k}": higher(), "frame_recall@{k}": higher()}
    counts: ClassVar[Infos] = {"excluded_scene": LEFT_OUT, "excluded_frame": LEFT_OUT, "nonfinite": LEFT_OUT}

    def __init__(self, ks: Sequence[int] = (1, 5, 10), frame_window: int = 5, chunk: int = 4096, **kwargs: Any) -> None:
        super().__init__(dist_sync_fn=gather_rows, **kwargs)
        if min(*ks, chunk) < 1 or frame_window < 0:
            raise ValueError(f"need ks and chunk > 0 and frame_window >= 0, got {ks=}, {chunk=} and {frame_window=}")
        self.ks = tuple(ks)
        self.frame_window = frame_window
        self.chunk = chunk
        for name in ("embeddings", "scenes", "frames"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, embedding: Tensor, scene: Sequence[str] | Tensor, frame: Tensor) -> None:
        """Add a batch.

        Args:
            embedding: (B, D) descriptors, any floating dtype; compared as float32 values.
            scene: B names, or (B,) integer ids, of the scenes.
            frame: (B,) integer numbers of the frames in their scenes.

        Raises:
            ValueError: if the lengths do not fit together.
        """
        if embedding.ndim != 2 or not len(embedding) == len(scene) == len(frame):
            raise ValueError(
                "embedding must be (B, D) with B scenes and B frames, got "
                f"{tuple(embedding.shape)}, {len(scene)} and {len(frame)}"
            )
        ids = scene if isinstance(scene, Tensor) else torch.tensor([_scene_id(name) for name in scene])
        self.embeddings.append(embedding.detach().float())
        self.scenes.append(ids.to(embedding.device, torch.int64))
        self.frames.append(frame.to(embedding.device, torch.int64))

    def compute(self) -> dict[str, Tensor]:
        """Return the recalls and counts of the class docstring, scalars; NaN if no query has a target.

        Raises:
            ValueError: if no process has seen a frame.
        """
        units, scenes, frames, _ = self._ordered()
        nonfinite = (~units.isfinite().all(1)).sum().to(units.dtype)
        units = units.nan_to_num(0.0, 0.0, 0.0)  # the recalls are lost, the counts of excluded queries are not

        blocks = [self._ranks(queries, units, scenes, frames) for queries in _blocks(0, len(units), self.chunk)]
        values = {}
        for setting, rank in zip(("scene", "frame"), torch.cat(blocks, dim=1), strict=True):
            queries = rank[rank >= 0]
            for k in self.ks:
                values[f"{setting}_recall@{k}"] = (queries < k).to(units.dtype).mean().where(nonfinite == 0, torch.nan)
            values[f"excluded_{setting}"] = (rank < 0).sum().to(units.dtype)
        return values | {"nonfinite": nonfinite}

    def neighbours(self, queries: Sequence[int], k: int) -> Neighbours:
        """Return the nearest frames of some queries, for pictures; every process must ask, and all get the same answer.

        A row is the place of a frame among all that were added, those of the first process first. Frames that are
        equally similar come by scene and number, whatever the process that added them.

        Args:
            queries: Q rows.
            k: frames for each.

        Raises:
            ValueError: if no process has seen a frame.
        """
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            units, scenes, frames, order = self._ordered()
        asked = order.argsort()[torch.as_tensor(queries, dtype=torch.int64, device=order.device)]
        similarity = units[asked] @ units.T
        ranked = similarity.nan_to_num(-2.0).scatter(1, asked[:, None], -torch.inf)  # below any cosine; itself last
        nearest = ranked.argsort(dim=1, descending=True, stable=True)[:, : min(k, len(units) - 1)]
        same_scene, same_view = self._targets(asked[:, None], nearest, scenes, frames)
        return Neighbours(order[nearest], similarity.gather(1, nearest), same_scene, same_view)

    def _ordered(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Descriptors of length 1 (N, D), scenes (N,) ascending, numbers (N,) ascending in them, and their rows (N,).

        By scene, so that the targets of a block of queries are in few, neighbouring blocks of the gallery.

        Raises:
            ValueError: if there is no frame.
        """
        if not len(self.embeddings):
            raise ValueError("retrieval of layouts without a frame: `update` was never called, in any process")
        embeddings, scenes, frames = map(dim_zero_cat, (self.embeddings, self.scenes, self.frames))
        order = frames.argsort(stable=True)
        order = order[scenes[order].argsort(stable=True)]
        embeddings = embeddings[order].to(accumulation_dtype(embeddings.device))
        return embeddings / embeddings.norm(dim=1, keepdim=True), scenes[order], frames[order], order

    def _targets(self, first: Tensor, second: Tensor, scenes: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Whether pairs of frames are of one scene, and of one view; places are broadcast against each other."""
        same_scene = scenes[first] == scenes[second]
        return same_scene, same_scene & ((frames[first] - frames[second]).abs() <= self.frame_window)

    def _ranks(self, queries: slice, units: Tensor, scenes: Tensor, frames: Tensor) -> Tensor:
        """(2, b) frames at least as similar as a query's best target, by scene and by frame; -1 without a target.

        Args:
            queries: the b rows that are queries.
            units: (N, D) descriptors of length 1.
            scenes: (N,) scenes, ascending.
            frames: (N,) numbers in the scenes.
        """
        positions = torch.arange(len(units), device=units.device)

        def similarity(gallery: slice) -> Tensor:
            return units[queries] @ units[gallery].T

        def targets(gallery: slice) -> tuple[Tensor, Tensor]:
            """Return which pairs are targets (2, b, g), and which are no query with itself (b, g)."""
            first, second = positions[queries, None], positions[gallery]
            two = first != second
            return torch.stack(self._targets(first, second, scenes, frames)) & two, two

        start = int(torch.searchsorted(scenes, scenes[queries][0]))
        stop = int(torch.searchsorted(scenes, scenes[queries][-1], right=True))
        own_scenes = list(_blocks(start, stop, self.chunk))
        best = units.new_full((2, len(units[queries]), 1), -torch.inf)
        for gallery in own_scenes:
            target, _ = targets(gallery)
            best = torch.maximum(best, similarity(gallery).where(target, -torch.inf).amax(2, keepdim=True))

        ranks = torch.zeros(best.shape[:2], dtype=torch.int64, device=units.device)
        for gallery in own_scenes:
            target, two = targets(gallery)
            ranks += ((similarity(gallery) >= best - TIE) & two & ~target).sum(2)
        for gallery in (*_blocks(0, start, self.chunk), *_blocks(stop, len(units), self.chunk)):
            ranks += (similarity(gallery) >= best - TIE).sum(2)
        return ranks.where(best[..., 0] > -torch.inf, -1)


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    """The range from start to stop in pieces of a size, the last one shorter."""
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))


def _scene_id(name: str) -> int:
    """A 64-bit integer of a scene's name, the same in every process (Python's own hash is not)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)
