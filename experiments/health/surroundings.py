"""Environment variables, made what the suite's and its libraries' code takes them for."""

import os
from math import inf

from experiments.config.error import ConfigError

#: Set but empty they count as not set; of CUDA_VISIBLE_DEVICES and the like, empty says something.
NOT_EMPTY = ("DATA_ROOT", "COLUMNS", "LINES")

#: Variables that hold a number.
NUMBERS = (
    "WORLD_SIZE", "SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT", "WANDB_INIT_TIMEOUT", "WANDB_FINISH_TIMEOUT",
)  # fmt: skip

#: Letters a line that tables of metrics need.
NARROWEST = 80


def tidy_environment() -> None:
    """Drop variables that are empty, or of a terminal's size and no numbers; draw figures without a display.

    Raises:
        ConfigError: if one that holds a number does not, naming it.
    """
    os.environ["MPLBACKEND"] = "agg"  # figures go to files; what the user's notebooks draw with may not be installed
    for name in (*NOT_EMPTY, *NUMBERS):
        if not os.environ.get(name, "").strip():
            os.environ.pop(name, None)
    for name in ("COLUMNS", "LINES"):
        if not os.environ.get(name, "").isdecimal():
            os.environ.pop(name, None)
    for name in NUMBERS:
        if name in os.environ and not _is_count(os.environ[name]):
            raise ConfigError(f"the environment variable {name} is `{os.environ[name]}`, not a number; unset it")


def _is_count(text: str) -> bool:
    try:
        return 0 <= float(text) < inf
    except ValueError:
        return False


def table_width(console_width: int) -> int:
    """Return letters a line for a wide table: COLUMNS where it is set, else the terminal's and at least 160."""
    columns = int(os.environ.get("COLUMNS", "0"))
    return max(columns, NARROWEST) if columns else max(console_width, 160)
