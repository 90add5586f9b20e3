"""Standard output and error that hold whatever is printed, and outlive who reads them."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any

#: Exit status of a command that a closed pipe ends, as the shell counts SIGPIPE.
BROKEN_PIPE = 141

#: What writing gives when the reader of a pipe, or the terminal, is gone.
NO_READER = (errno.EPIPE, errno.EIO)


class LastingStream(io.RawIOBase):
    """A standard stream's bytes; once nobody reads them any more, they are dropped.

    Args:
        raw: the stream.
        ends: the command has nothing to do but to print, and ends with its reader.
    """

    def __init__(self, raw: io.RawIOBase, ends: bool = False):
        self.raw, self.ends = raw, ends

    def write(self, data: "bytes | bytearray | memoryview") -> int | None:  # type: ignore[override]
        """Write bytes; returns how many.

        Raises:
            SystemExit: with status 141 if nobody reads them, where the command ends then.
            OSError: for another reason.
        """
        try:
            return self.raw.write(data)
        except OSError as error:
            if error.errno not in NO_READER:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # for libraries and processes that write there on their own
        os.close(nowhere)
        if self.ends:
            raise SystemExit(BROKEN_PIPE)
        return len(data)

    def writable(self) -> bool:
        """Return true: the stream is there to be written to."""
        return True

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self.raw.fileno()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.raw.isatty()


def prepare_streams(ends: bool = False) -> None:
    """Let both streams escape what their encoding lacks, and continue without a reader.

    Args:
        ends: end with status 141 instead when nobody reads standard output any more.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__") and hasattr(stream, "buffer"):
            with suppress(OSError):
                stream.flush()
            setattr(sys, name, lasting(stream, ends and name == "stdout"))
        elif isinstance(stream, io.TextIOWrapper):  # somebody's who calls the command from Python
            stream.reconfigure(errors="backslashreplace")


def lasting(stream: io.TextIOWrapper, ends: bool) -> io.TextIOWrapper:
    """Return a stream that writes to the same place through :class:`LastingStream`."""
    buffer: Any = stream.buffer  # which is the raw stream itself under `python -u`
    raw = LastingStream(getattr(buffer, "raw", buffer), ends)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # type: ignore[type-var, arg-type]
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
