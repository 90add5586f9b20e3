"""What is printed where not all of it can be shown, or nobody reads it any more."""

import io
import os
import signal

import pytest

from experiments.__main__ import main
from experiments.health.standard_streams import BROKEN_PIPE, lasting


def pipe(encoding="utf-8", ends=False):
    """Both ends of a pipe: what reads it, and what a command prints on."""
    reading, writing = os.pipe()
    printed = io.TextIOWrapper(io.BufferedWriter(io.FileIO(writing, "w")), encoding=encoding)
    return os.fdopen(reading, "rb"), lasting(printed, ends), printed


def test_letters_that_a_terminal_lacks_are_escaped():
    reader, stream, _kept = pipe("ascii")
    print("café ✓ \udcff", file=stream, flush=True)
    assert reader.readline() == b"caf\\xe9 \\u2713 \\udcff\n"


def test_a_command_goes_on_without_its_reader():
    reader, stream, _kept = pipe()
    reader.close()
    for _ in range(3):
        print("a line", file=stream, flush=True)
    os.write(stream.fileno(), b"a library's own line")


def test_a_command_that_prints_alone_ends_with_its_reader():
    reader, stream, _kept = pipe(ends=True)
    reader.close()
    with pytest.raises(SystemExit) as end:
        print("a line", file=stream, flush=True)
    assert end.value.code == BROKEN_PIPE == 128 + signal.SIGPIPE
    stream.flush()  # as Python does when it ends


def test_tables_are_printed_on_an_ascii_terminal(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    main(["table", "shed/table2"])
    terminal.flush()
    assert rb"\u03b41" in terminal.buffer.getvalue()
