"""`segdepth export`: what a finished run has learned, in files for people and for other programs."""

from experiments.config.arguments import Changes
from experiments.export.choices import FrameChoice, RunChoice


def clouds(
    changes: Changes, runs: list[str], /, *, where: RunChoice, which: FrameChoice, points: int | None = None
) -> None:
    """Write point clouds of test frames, of the truth and of each run, and pictures of them.

    Args:
        changes: to the runs' configurations.
        runs: folders of runs, or experiments: their newest runs.
        where: the runs and the output.
        which: frames.
        points: that a file has at most; every evaluated pixel by default.

    Raises:
        ConfigError: for runs or frames that there are not, or a run that predicts no depth.
    """
    from experiments.export.result_pictures import export_clouds

    export_clouds(runs, changes, where, which, points)


def hierarchies(changes: Changes, runs: list[str], /, *, where: RunChoice, which: FrameChoice) -> None:
    """Draw the segment hierarchies of runs beside each other, one picture a frame.

    Args:
        changes: to the runs' configurations.
        runs: folders of runs, or experiments: their newest runs.
        where: the runs and the output.
        which: frames.

    Raises:
        ConfigError: for runs or frames that there are not, or a run without segments.
    """
    from experiments.export.result_pictures import export_hierarchies

    export_hierarchies(runs, changes, where, which)


def program(changes: Changes, run: str, /, *, where: RunChoice) -> None:
    """Write a finished run's method as one file that needs torch alone, and say how well the file agrees with it.

    Args:
        changes: to the run's configuration.
        run: folder of a run, or an experiment: its newest run.
        where: the run and the output, a *.pt2 file.

    Raises:
        ConfigError: if there is no such run, or it cannot be written so.
    """
    from experiments.export.program import export_run

    export_run(run, changes, where)
