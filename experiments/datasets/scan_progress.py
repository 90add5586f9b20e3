"""What commands share that go through all frames in several processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning.fabric.utilities import suggested_max_num_workers
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def count_workers(workers: int | None) -> int:
    """Return the processes asked for, or else up to 8, no more than there are free cores."""
    return min(8, suggested_max_num_workers(1)) if workers is None else workers


@contextmanager
def frame_progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar over frames, and yield a function that is told how many are done.

    Raises:
        RuntimeError: if a process that reads was killed, saying after which frame and what to do.
    """
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done = count
        progress.update(task, completed=count)

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as progress:
            task = progress.add_task(title, total=total)
            yield advance
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RuntimeError(
            f"a process that reads frames was killed after {done} of {total} frames, often for want of memory; "
            "set fewer `--workers`"
        ) from error
