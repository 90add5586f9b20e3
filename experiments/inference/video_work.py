"""What is done with one video: the range of its depth, then frame by frame depth, smoothing, flicker and picture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.inference.camera_choice import camera_of
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.ensemble import Ensemble
from experiments.inference.flicker import Change, measure_change
from experiments.inference.photo_choices import CameraChoice
from experiments.inference.photo_pictures import depth_range
from experiments.inference.pipeline import process
from experiments.inference.predictor import Shown
from experiments.inference.video_motion import Motion, MotionFinder, grey
from experiments.inference.video_reader import Frame, Video
from experiments.inference.video_writer import SideBySide
from lightning_modules.prediction import Prediction

#: Frames, evenly spread, by whose depth the colours of a video are chosen, and pixels of each.
LOOKED_AT, PIXELS = 24, 20_000

Map = NDArray[np.float32]


@dataclass(frozen=True)
class FrameWork:
    """The prediction of a frame, in the steps of :func:`~.pipeline.process`.

    Attributes:
        predictor: of the run, or of several.
        tiles: along each side.
        camera: that the video was taken with.
    """

    predictor: Ensemble
    tiles: int
    camera: CameraChoice

    def prepare(self, frame: Frame) -> list[Shown]:
        """Return a frame (H, W, 3) as the networks read it."""
        image: Tensor = torch.from_numpy(frame).permute(2, 0, 1)
        camera = camera_of(self.camera, None, (frame.shape[0], frame.shape[1]))
        return self.predictor.show(image, camera=camera, tiles=self.tiles)

    def finish(self, frame: Frame, shown: list[Shown], predictions: list[list[Prediction]]) -> DepthPrediction:
        """Return what is predicted; raises ValueError if that is no depth."""
        result = self.predictor.restore(shown, predictions)
        if result.depth is None:
            raise ValueError("the method predicts no depth")
        return result

    def run(self, frames: Iterator[Frame], use: Callable[[DepthPrediction], None]) -> Iterator[None]:
        """Predict frames one after the other, a few at a time in memory.

        Args:
            frames: RGB, in order.
            use: of each prediction, in order, in a thread of its own.

        Raises:
            ValueError: if a frame cannot be predicted.
        """
        forward = self.predictor.forward
        for outcome in process(frames, self.prepare, forward, lambda *given: use(self.finish(*given))):
            if outcome.error is not None:
                raise outcome.error
            yield


def spread_range(video: Video, work: FrameWork) -> tuple[float, float]:
    """Return the 1st and 99th percentile of depth, metres, over :data:`LOOKED_AT` frames spread over a video."""
    samples: list[Map] = []

    def sample(result: DepthPrediction) -> None:
        assert result.depth is not None
        values = result.depth[np.isfinite(result.depth)]
        samples.append(values[:: max(1, values.size // PIXELS)])

    for _ in work.run(video.spread(LOOKED_AT), sample):
        pass
    return depth_range(np.concatenate(samples))


@dataclass
class Session:
    """A video that is being made.

    Attributes:
        target: where frames go.
        smooth: share that the depth of the frames before keeps, along the flow; 0 for none.
        last: the last prediction.
        changes: of depth, from each frame to the next.
        raw_changes: the same before smoothing.
    """

    target: SideBySide
    smooth: float
    last: DepthPrediction | None = None
    changes: list[Change] = field(default_factory=list)
    raw_changes: list[Change] = field(default_factory=list)
    _finder: MotionFinder = field(default_factory=MotionFinder)
    _grey: NDArray[np.uint8] | None = None
    _depth: Map | None = None
    _raw: Map | None = None

    def add(self, result: DepthPrediction) -> None:
        """Add the next frame."""
        assert result.depth is not None
        small, depth = grey(result.image), result.depth
        if self._grey is not None and self._depth is not None and self._raw is not None:
            motion = self._finder.find(self._grey, small)
            depth = smoothed(self._depth, depth, motion, self.smooth) if self.smooth else depth
            self.changes.append(change_between(self._depth, depth, motion))
            if self.smooth:
                self.raw_changes.append(change_between(self._raw, result.depth, motion))
        self.target.write(result.image, depth)
        self._grey, self._depth, self._raw, self.last = small, depth, result.depth, result


def change_between(before: Map, depth: Map, motion: Motion) -> Change:
    """Return how much depth (H, W) changed from one frame to the next, on the grid of the motion."""
    size = (motion.still.shape[0], motion.still.shape[1])
    return measure_change(resampled(before, size), resampled(depth, size), motion)


def resampled(map_: Map, size: tuple[int, int]) -> Map:
    """Return a map (H, W) at another size, each pixel the nearest one of it."""
    pairs = zip(map_.shape, size, strict=True)
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for old, new in pairs)
    return map_[np.ix_(rows, columns)]


def smoothed(before: Map, depth: Map, motion: Motion, share: float) -> Map:
    """Return depth mixed with that of the frame before, brought along the flow: exponential smoothing in time.

    Args:
        before: (H, W) smoothed depth of the frame before.
        depth: the same of this frame.
        motion: between the two.
        share: of what was before. A pixel that cannot be followed takes its own depth alone.
    """
    brought = motion.from_before(before)
    return np.where(np.isfinite(brought), share * brought + (1 - share) * depth, depth)
