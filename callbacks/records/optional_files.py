"""Files that a run can do without, on a disk that may be full."""

from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from datamodules.files import WriteError, written_atomically

#: What to do about a file that cannot be written.
FIX = "make room, or choose another place"


class OptionalFiles:
    """Files of one callback, written until one cannot be: metrics and weights are not lost for a picture.

    Args:
        what: plural name of the files, for the warning.
        continues: what continues without them.

    Attributes:
        stopped: whether a file could not be written; no further one is tried.
    """

    def __init__(self, what: str, continues: str = "the test"):
        self.what, self.continues = what, continues
        self.stopped = False

    def write_or_stop(self, path: Path, content: bytes) -> bool:
        """Write a file that appears when it is whole; where that fails, warn once and write no file any more.

        Args:
            path: of the file; its folder is made where it is not there.
            content: of the file.

        Returns:
            Whether the file was written.
        """
        if self.stopped:
            return False
        try:
            with written_atomically(path, FIX) as file:
                file.write(content)
        except WriteError as error:
            self.stopped = True
            rank_zero_warn(f"{error}; no further {self.what}, {self.continues} continues")
        return not self.stopped
