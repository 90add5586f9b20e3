"""`segdepth data verify`: read every frame, and name every one that is broken."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from datamodules import DepthDataModule
from datamodules.files import write_text_atomically
from datamodules.frames import Frame, FrameReader
from datamodules.nyuv2_format import looks_mirrored
from datamodules.workers import use_one_thread
from experiments.data_progress import count_workers, frame_progress

#: A frame with a larger share of invalid depth is worth a warning.
MOSTLY_INVALID = 0.9

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
    """

    position: int
    scene: str
    source: str
    error: str | None = None
    warnings: tuple[str, ...] = ()


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
            return Verdict(*place, warnings=suspicions(self.reader.read(position)))
        except (FileNotFoundError, ValueError) as error:  # what readers raise names the file
            return Verdict(*place, error=" ".join(str(error).split()))
        except Exception as error:
            return Verdict(*place, error=f"{place[-1]}: {type(error).__name__}: {' '.join(str(error).split())}")


def suspicions(frame: Frame) -> tuple[str, ...]:
    """What is suspicious about a frame that can be read."""
    found = []
    if looks_mirrored(frame.image):
        found.append("looks mirrored: NYUv2's white border is 6 pixels wide on the left, 7 on the right")
    invalid = float((frame.maps["depth"] == 0).float().mean())
    if invalid > MOSTLY_INVALID:
        found.append(f"{100 * invalid:.1f} % of its depth is invalid")
    return tuple(found)


def verify(module: DepthDataModule, report: Path | None = None, workers: int | None = None) -> None:
    """Read every frame of every part, and report each that is broken.

    Args:
        module: the data set.
        report: JSON file to write the findings to.
        workers: processes that read; null takes up to 8, no more than there are free cores.

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
    with frame_progress(f"verify {module.name}", len(checks)) as advance:
        for done, verdict in enumerate(loader, start=1):
            advance(done)
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
            "broken": [finding for finding in findings if finding["error"] is not None],
            "suspicious": [finding for finding in findings if finding["error"] is None],
        }
        report.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(report, json.dumps(content, indent=1))
    if broken:
        raise SystemExit(1)
