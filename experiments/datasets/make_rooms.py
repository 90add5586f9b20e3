"""`segdepth data rooms`: synthetic data in every layout, where no real data is."""

from pathlib import Path

import torch
from rich.console import Console

from datamodules.files import printable
from datamodules.rooms import RoomsParameters
from datamodules.rooms.data_root import write_data_root


def rooms(*, output: Path, rooms: RoomsParameters | None = None) -> None:
    """Write Rooms as a DATA_ROOT: a folder per data set, each in that set's own layout, and each marked as Rooms.

    Args:
        output: folder to write; must be empty.
        rooms: scenes and frames; raw Kinect video is written at 480x640 only.

    Raises:
        FileExistsError: if the folder holds anything.
    """
    console = Console(stderr=True, highlight=False, markup=False)
    parameters = rooms or RoomsParameters(train_scenes=16, test_scenes=8)
    output = output.expanduser()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with console.status(f"Rooms: {parameters.frames} frames") as status:
        write_data_root(output, parameters, device=device, report=lambda part: status.update(f"Rooms: {part}"))
    print(f"Rooms, {parameters.frames} frames in every layout: use them with DATA_ROOT={printable(output)}")
