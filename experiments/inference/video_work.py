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
from experiments.inference.finished_frames import FinishedFrames, Predictions
from experiments.inference.flicker import Change, measure_change
from experiments.inference.photo_choices import CameraChoice
from experiments.inference.photo_pictures import depth_range
from experiments.inference.pipeline import process
from experiments.inference.predictor import Shown
from experiments.inference.video_motion import Motion, MotionFinder, grey
from experiments.inference.video_reader import Frame, Video
from experiments.inference.video_writer import FrameFiles, Scales, SideBySide

#: Frames, evenly spread, by whose depth the colours of a video are chosen, and pixels of each.
LOOKED_AT, PIXELS = 24, 20_000

Map = NDArray[np.float32]


@dataclass(frozen=True)
class ReadyFrame:
    """A frame that networks can read.

    Attributes:
        shown: as each network reads it.
        known: what they said of it before the video was stopped; None where they have not.
    """

    shown: list[Shown]
    known: Predictions | None


@dataclass(frozen=True)
class FrameWork:
    """The prediction of frames.

    Attributes:
        predictor: of the run, or of several.
        tiles: along each side.
        camera: that the video was taken with.
    """

    predictor: Ensemble
    tiles: int
    camera: CameraChoice

    def show(self, frame: Frame) -> list[Shown]:
        """Return a frame (H, W, 3) as the networks read it."""
        image: Tensor = torch.from_numpy(frame).permute(2, 0, 1)
        camera = camera_of(self.camera, None, (frame.shape[0], frame.shape[1]))
        return self.predictor.show(image, camera=camera, tiles=self.tiles)

    def run(
        self,
        frames: Iterator[Frame],
        use: Callable[[DepthPrediction], None],
        finished: FinishedFrames | None = None,
    ) -> Iterator[None]:
        """Predict frames one after the other, a few at a time in memory.

        Args:
            frames: RGB, in order, from the first on.
            use: of each prediction, in order, in a thread of its own.
            finished: where the networks' predictions are kept, and those that are there taken from.

        Raises:
            ValueError: if a frame cannot be predicted.
            WriteError: if predictions cannot be kept.
        """

        def prepare(item: tuple[int, Frame]) -> ReadyFrame:
            return ReadyFrame(self.show(item[1]), finished.read(item[0]) if finished else None)

        def forward(ready: ReadyFrame) -> Predictions:
            return self.predictor.forward(ready.shown) if ready.known is None else ready.known

        def finish(item: tuple[int, Frame], ready: ReadyFrame, predictions: Predictions) -> None:
            result = self.predictor.restore(ready.shown, predictions)
            if result.depth is None:
                raise ValueError("the method predicts no depth")
            if finished and ready.known is None:
                finished.write(item[0], predictions)
            use(result)

        for outcome in process(enumerate(frames), prepare, forward, finish):
            if outcome.error is not None:
                raise outcome.error
            yield


def spread_scales(video: Video, work: FrameWork) -> Scales:
    """Return the ends of the colours of a video's maps, over :data:`LOOKED_AT` frames spread over it.

    Depth: 1st and 99th percentile, metres; uncertainty: from 0 to its 99th.
    """
    samples: dict[str, list[Map]] = {"depth": [], "uncertainty": []}

    def sample(result: DepthPrediction) -> None:
        for name, found in samples.items():
            if (map_ := getattr(result, name)) is not None:
                values = map_[np.isfinite(map_)]
                found.append(values[:: max(1, values.size // PIXELS)])

    for _ in work.run(video.spread(LOOKED_AT), sample):
        pass
    unsure = samples["uncertainty"]
    return Scales(
        depth_range(np.concatenate(samples["depth"])), depth_range(np.concatenate(unsure))[1] if unsure else None
    )


@dataclass
class Session:
    """A video that is being made.

    Attributes:
        target: where frames go.
        files: where the maps of each frame go, too; None for nowhere.
        smooth: share that the depth of the frames before keeps, along the flow; 0 for none.
        last: the last prediction.
        changes: of depth, from each frame to the next.
        raw_changes: the same before smoothing.
    """

    target: SideBySide
    smooth: float
    files: FrameFiles | None = None
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
        unsure = () if result.uncertainty is None else (result.uncertainty,)
        self.target.write(result.image, depth, *unsure)
        if self.files:
            self.files.write(depth, *unsure)
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
