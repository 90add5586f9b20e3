"""`segdepth data verify`: read every frame, and name every one that is broken."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from datamodules import DepthDataModule
from datamodules.files import write_text_atomically
from datamodules.frames import Frame, FrameReader
from datamodules.loading.workers import use_one_thread
from datamodules.nyuv2.labeled_format import looks_mirrored
from experiments.datasets.scan_progress import count_workers, frame_progress

#: A frame with a larger share of invalid depth is worth a warning.
MOSTLY_INVALID = 0.9

#: Metres between which the median depth of a room lies, and by what factor the parts of a data set may differ: beyond
#: them depth is in another unit.
ROOM = (0.8, 15.0)
PARTS_FACTOR = 3.0

#: Warnings printed: a mirrored copy has as many as frames. Errors are all printed.
WARNINGS_SHOWN = 20


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a frame.

    Attributes:
        position: in the reader.
        scene: name of its scene.
        source: file that it comes from.
        error: why it cannot be read; None if it can.
        warnings: what is suspicious about it.
        median_depth: of its valid pixels, metres; None where it cannot be read.
    """

    position: int
    scene: str
    source: str
    error: str | None = None
    warnings: tuple[str, ...] = ()
    median_depth: float | None = None


class FrameChecks(Dataset[Verdict]):
    """A verdict on each of some frames, whatever happens when it is read.

    Args:
        reader: the frames.
        positions: which of them.
    """

    def __init__(self, reader: FrameReader, positions: Sequence[int]):
        self.reader = reader
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> Verdict:
        position = self.positions[number]
        place = (position, self.reader.scenes[position], self.reader.source(position))
        try:
            frame = self.reader.read(position)
            found = (*suspicions(frame), *self.reader.oddities(position))
            return Verdict(*place, warnings=found, median_depth=median_depth(frame))
        except (FileNotFoundError, ValueError) as error:  # what readers raise names the file
            return Verdict(*place, error=" ".join(str(error).split()))
        except Exception as error:
            return Verdict(*place, error=f"{place[-1]}: {type(error).__name__}: {' '.join(str(error).split())}")


def suspicions(frame: Frame) -> tuple[str, ...]:
    """Return what is suspicious about a frame that can be read."""
    found = []
    if looks_mirrored(frame.image):
        found.append("looks mirrored: NYUv2's white border is 6 pixels wide on the left, 7 on the right")
    invalid = float((frame.maps["depth"] == 0).float().mean())
    if invalid > MOSTLY_INVALID and not frame.sparse:
        found.append(f"{100 * invalid:.1f} % of its depth is invalid")
    return tuple(found)


def median_depth(frame: Frame) -> float:
    """Return the median of the valid depth of a frame, metres, of every fourth row and column."""
    depth = frame.maps["depth"]
    seen = depth[..., ::4, ::4]
    seen = seen if (seen > 0).any() else depth
    return float(seen[seen > 0].median())


def depth_lines(medians: dict[str, list[float]]) -> list[str]:
    """Return the median depth of each part, and warnings where that is of another unit.

    Args:
        medians: of the frames, metres, by part.
    """
    of_part = {part: float(np.median(own)) for part, own in medians.items() if own}
    shown = [f"{part} {median:.2f} m" for part, median in of_part.items()]
    lines = [f"median depth: {', '.join(shown)}"] if shown else []
    for part, median in of_part.items():
        if not ROOM[0] <= median <= ROOM[1]:
            lines.append(
                f"warning: {part}: the median depth is {median:.3g} m, which is no room's: is depth in another unit "
                "(a 16-bit PNG is read as millimetres, floats as metres)?"
            )
    if of_part and max(of_part.values()) > PARTS_FACTOR * min(of_part.values()):
        low, high = min(of_part, key=of_part.__getitem__), max(of_part, key=of_part.__getitem__)
        lines.append(
            f"warning: depth of {high} is {of_part[high] / of_part[low]:.3g} times that of {low} (medians): are both "
            "in one unit?"
        )
    return lines


def verify(module: DepthDataModule, report: Path | None = None, workers: int | None = None) -> None:
    """Read every frame of every part, and report each that is broken.

    Args:
        module: the data set.
        report: JSON file to write the findings to.
        workers: processes that read; None takes up to 8, no more than there are free cores.

    Raises:
        SystemExit: with status 1, if a frame is broken.
    """
    started = time.monotonic()
    parts = {name: list(positions) for name, positions in vars(module.splits).items()}
    part_of = {position: name for name, positions in parts.items() for position in positions}
    checks = FrameChecks(module.reader, sorted(part_of))
    loader = DataLoader(checks, batch_size=None, num_workers=count_workers(workers), worker_init_fn=use_one_thread)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    broken, suspicious = [], []
    medians: dict[str, list[float]] = {name: [] for name in parts}
    with frame_progress(f"verify {module.name}", len(checks)) as advance:
        for done, verdict in enumerate(loader, start=1):
            advance(done)
            if verdict.median_depth is not None:
                medians[part_of[verdict.position]].append(verdict.median_depth)
            if verdict.error is not None:
                broken.append(verdict)
            elif verdict.warnings:
                suspicious.append(verdict)
    for verdict in suspicious[:WARNINGS_SHOWN]:
        console.print(f"warning: {part_of[verdict.position]}: {verdict.source}: {'; '.join(verdict.warnings)}")
    if len(suspicious) > WARNINGS_SHOWN:
        console.print(f"warning: and {len(suspicious) - WARNINGS_SHOWN} more; `--report FILE` lists all")
    for verdict in broken:
        console.print(f"broken: {part_of[verdict.position]}: {verdict.error}")
    try:
        module.check_training_part()
    except FileNotFoundError as error:  # it can be tested on nevertheless
        console.print(f"warning: train: {error}")
    of_depth = depth_lines(medians)
    for line in of_depth:
        console.print(line)
    if module.remarks:
        console.print(f"{module.name}: {'; '.join(module.remarks)}")
    counts = ", ".join(f"{name} {len(positions):,}" for name, positions in parts.items())
    seconds = time.monotonic() - started
    console.print(
        f"{module.name}: {len(checks):,} frames read ({counts}) in {seconds:.1f} s: {len(broken)} broken, "
        f"{len(suspicious)} suspicious"
    )
    if report is not None:
        findings = [{"part": part_of[verdict.position], **asdict(verdict)} for verdict in (*broken, *suspicious)]
        content = {
            "data": module.describe(),
            "seconds": round(seconds, 3),
            "depth": of_depth,
            "broken": [finding for finding in findings if finding["error"] is not None],
            "suspicious": [finding for finding in findings if finding["error"] is None],
        }
        report.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(report, json.dumps(content, indent=1))
    if broken:
        raise SystemExit(1)
