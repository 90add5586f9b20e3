"""Algorithm 1 of Region Support Network, vectorised, against its literal loop, on frames of 480x640, as ratios.

Both label the same frames of Rooms, one after the other in each round, and must agree.

    .venv/bin/python -m benchmarks.region_support_speed            3 frames
    .venv/bin/python -m benchmarks.region_support_speed --quick    one
"""

import argparse
import statistics
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from datamodules.pipeline.region_support_target import RegionSupport
from datamodules.rooms import RoomsParameters
from datamodules.rooms.dataset import RenderedScenes
from tests.helpers.literal_region_support import transcription

#: The vectorised algorithm is at least so many times as fast.
TARGET = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one frame")
    options = parser.parse_args()
    frames = 1 if options.quick else options.frames

    parameters = RoomsParameters(480, 640, train_scenes=frames, test_scenes=1, frames_per_scene=1, supersampling=1)
    scenes = RenderedScenes(parameters, "cpu")
    table = Table("frame", "regions", "literal loop, s", "vectorised, ms", "times as fast", title="480x640, one core")
    ratios = []
    for number in range(frames):
        rendered = scenes[number]
        labels, depth = rendered.labels[0].numpy().astype(np.int64), rendered.depth[0].numpy()
        start = time.perf_counter()
        _, expected = transcription(labels, depth)
        literal = time.perf_counter() - start
        fast = []
        for _ in range(5):
            start = time.perf_counter()
            _, regions = RegionSupport()(labels, depth)
            fast.append(time.perf_counter() - start)
        np.testing.assert_array_equal(regions, expected)
        vectorised = statistics.median(fast)
        ratios.append(literal / vectorised)
        table.add_row(str(number), str(regions.max()), f"{literal:.2f}", f"{1e3 * vectorised:.1f}", f"{ratios[-1]:.0f}")
    table.caption = f"smallest ratio {min(ratios):.0f} (at least {TARGET} wanted)"
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
