"""`segdepth export clouds` and `hierarchies`: what finished runs make of the same test frames."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning.pytorch import Trainer

from callbacks.pictures.cloud_sheet import draw_cloud_sheet, part_cloud
from callbacks.pictures.frame_result import FrameResult, frame_result
from callbacks.pictures.hierarchy_sheet import draw_hierarchies
from callbacks.pictures.picture_files import write_figure
from callbacks.pictures.point_clouds import colored_cloud, write_ply
from callbacks.records.frame_callback import FrameCallback, FrameOutput
from datamodules import DepthDataModule
from datamodules.files import printable
from datamodules.splits import spread
from experiments.config.arguments import Changes
from experiments.config.error import ConfigError
from experiments.export.choices import FrameChoice, RunChoice
from experiments.export.finished_model import FinishedModel, open_run
from experiments.train.quiet import quieten

#: Groups of metrics that pictures quote.
QUOTED_GROUPS = ("cloud", "segment")

#: Results of runs on the same frames: name of the run to its results, in the order of the frames.
Results = dict[str, list[FrameResult]]


class KeepResults(FrameCallback):
    """Keep what a method makes of every test frame; for tests of few frames."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Keep the result of a frame."""
        self.results.append(frame_result(frame))


@dataclass(frozen=True)
class Exported:
    """Results of runs, and where they go.

    Attributes:
        dataset: name of the data set.
        results: by name of the run.
        output: folder.
    """

    dataset: str
    results: Results
    output: Path

    def frames(self) -> Sequence[tuple[Path, dict[str, FrameResult]]]:
        """Return every frame's path without ending, and what each run makes of it."""
        by_frame = zip(*self.results.values(), strict=True)
        return [
            (self.output / f"{self.dataset}_{frame[0].index:04d}", dict(zip(self.results, frame, strict=True)))
            for frame in by_frame
        ]


def export_clouds(
    runs: Sequence[str], changes: Changes, where: RunChoice, which: FrameChoice, points: int | None = None
) -> None:
    """Write clouds of test frames, of the truth and of each run, coloured by the image and by the runs' segments.

    Raises:
        ConfigError: for runs or frames that there are not, or a run that predicts no depth.
    """
    if points is not None and points < 1:
        raise ConfigError(f"--points: need a positive number, got {points}")
    exported = predict_frames(runs, changes, where, which)
    for name, results in exported.results.items():
        if results[0].view is None:
            raise ConfigError(
                f"{name}: predicts no depth, hence no points; `segdepth export hierarchies` shows segments"
            )
    for stem, frame in exported.frames():
        write_clouds(stem, frame, points)


def write_clouds(stem: Path, results: Mapping[str, FrameResult], points: int | None) -> None:
    """Write the picture and the clouds of one frame."""
    sheet = draw_cloud_sheet(results)
    if sheet is None:
        print(f"{printable(stem)}: no evaluated pixel, hence no cloud")
        return
    clouds = {}
    for name, result in results.items():
        assert result.view is not None
        most = points or result.view.truth.size
        clouds["truth"] = colored_cloud(result.view, result.intrinsics, most, depth=result.view.truth)
        clouds[name] = colored_cloud(result.view, result.intrinsics, most)
        levels = range(len(result.segments))
        clouds |= {f"{name}_level{level}": part_cloud(result, level, most) for level in levels}
    write_figure(sheet, stem.with_suffix(".png"))
    for name, cloud in clouds.items():
        write_ply(stem.with_name(f"{stem.name}_{name.replace('/', '_')}.ply"), cloud)
    print(f"{printable(stem)}.png, and {len(clouds)} clouds: {', '.join(clouds)}")


def export_hierarchies(runs: Sequence[str], changes: Changes, where: RunChoice, which: FrameChoice) -> None:
    """Draw the segment hierarchies of runs beside each other, one picture a frame.

    Raises:
        ConfigError: for runs or frames that there are not, or a run without segments.
    """
    exported = predict_frames(runs, changes, where, which)
    for name, results in exported.results.items():
        if not results[0].segments:
            raise ConfigError(f"{name}: has no segments; name runs of methods with a segment hierarchy, such as SHED")
    for stem, frame in exported.frames():
        path = stem.with_name(f"{stem.name}_hierarchies.png")
        write_figure(draw_hierarchies(frame), path)
        print(printable(path))


def predict_frames(names: Sequence[str], changes: Changes, where: RunChoice, which: FrameChoice) -> Exported:
    """Return what some runs make of some frames.

    Raises:
        ConfigError: if a run or frame is not there, or the runs were tested on different frames.
    """
    quieten()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # which device is used is no news here
    runs = [open_run(name, where.runs_root, where.checkpoint, changes) for name in names]
    results = {
        name: test_frames(run, which.frames, which.accelerator) for name, run in zip(name_runs(runs), runs, strict=True)
    }
    titles = {name: [result.title for result in frames] for name, frames in results.items()}
    first, *others = titles
    for name in others:
        if different := [pair for pair in zip(titles[first], titles[name], strict=False) if pair[0] != pair[1]]:
            mine, theirs = different[0]
            raise ConfigError(
                f"{first} and {name} are not tested on the same frames ({mine}; {theirs}); name the data: "
                "`--config data/NAME`, or the frames: `--frames`"
            )
    output = where.output or runs[0].folder / "export"
    output.mkdir(parents=True, exist_ok=True)
    return Exported(runs[0].datamodule.name, results, output)


def name_runs(runs: Sequence[FinishedModel]) -> list[str]:
    """Return names for pictures and files: the experiment, with the run where one experiment is named twice.

    Raises:
        ConfigError: if the same run is named twice.
    """
    if len({run.folder for run in runs}) < len(runs):
        raise ConfigError("a run is named twice; name different ones")
    counts = Counter(run.experiment for run in runs)
    return [run.experiment if counts[run.experiment] == 1 else f"{run.experiment}/{run.run}" for run in runs]


def test_frames(run: FinishedModel, frames: Sequence[int] | None, accelerator: str) -> list[FrameResult]:
    """Return what a run makes of some test frames, those of the run's own panels by default."""
    choose_frames(run.datamodule, frames)
    run.datamodule.num_workers = 0  # not worth starting processes for
    run.module.evaluation = replace(run.module.evaluation, groups=QUOTED_GROUPS)
    keep = KeepResults()
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        precision=run.precision,  # type: ignore[arg-type]  # as the run's own configuration has it
        logger=False,
        callbacks=[keep],
        default_root_dir=run.folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.test(run.module, datamodule=run.datamodule, verbose=False)
    return keep.results


def choose_frames(datamodule: DepthDataModule, frames: Sequence[int] | None) -> None:
    """Make some test frames the whole test set, in the order in which they are named.

    Raises:
        ConfigError: if there is no such test frame.
    """
    positions = {datamodule.reader.indices[position]: position for position in datamodule.splits.test}
    frames = spread(list(positions), 4) if frames is None else list(dict.fromkeys(frames))
    if unknown := [index for index in frames if index not in positions]:
        raise ConfigError(
            f"--frames: {datamodule.name} has no test frame {unknown[0]}; its {len(positions)} test frames are between "
            f"{min(positions)} and {max(positions)}, see `index` in per_image.csv"
        )
    datamodule.splits = replace(datamodule.splits, test=[positions[index] for index in frames])
