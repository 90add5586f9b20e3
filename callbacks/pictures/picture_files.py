"""Pictures on a disk that may be full: one that cannot be written is left out, the figures are not lost for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from matplotlib.figure import Figure

from datamodules.files import WriteError, printable, written_atomically


@contextmanager
def left_out_if_unwritable(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a warning that names the file."""
    try:
        yield
    except OSError as error:
        what = str(error) if isinstance(error, WriteError) else f"{printable(path)}: {error.strerror or error}"
        rank_zero_warn(f"{what}; it is left out, the test goes on")


def write_figure(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a PNG that appears when it is whole.

    Raises:
        WriteError: if it cannot be written, naming it.
    """
    with written_atomically(path, "make room, or choose another place") as file:
        figure.savefig(file, dpi=dpi, format="png")


def save_figure(figure: Figure, path: Path, dpi: int = 100) -> bool:
    """The same, where the figures are worth more than the picture; whether it could be written."""
    with left_out_if_unwritable(path):
        write_figure(figure, path, dpi)
        return True
    return False
