"""Pictures as files: PNG of figures, and the sheets of test sets."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from lightning.pytorch import Trainer
from matplotlib.figure import Figure

from callbacks.records.optional_files import FIX, OptionalFiles
from callbacks.records.wandb_media import log_pictures
from datamodules.files import written_atomically


def png_bytes(figure: Figure, dpi: int = 100) -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    return buffer.getvalue()


def write_figure(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a PNG that appears when it is whole.

    Raises:
        WriteError: if it cannot be written, naming it.
    """
    with written_atomically(path, FIX) as file:
        file.write(png_bytes(figure, dpi))


def write_sheets(trainer: Trainer, files: OptionalFiles, kind: str, sheets: Mapping[str, Figure]) -> None:
    """Write a picture of each of some test sets into the run folder, and send those that were written to W&B.

    Args:
        trainer: whose run it is.
        files: that the pictures are among.
        kind: what the pictures show: they are called ``<kind>_<test set>.png``, and ``test/<kind>`` in W&B.
        sheets: figures by name of the test set.
    """
    paths = {name: Path(trainer.default_root_dir) / f"{kind}_{name}.png" for name in sheets}
    written = {name: path for name, path in paths.items() if files.write_or_stop(path, png_bytes(sheets[name]))}
    log_pictures(trainer, f"test/{kind}", written)
