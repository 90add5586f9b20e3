"""A disk that is full, read-only or another's, and files that are locked: the file, and what to do."""

import errno
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from callbacks import PredictionWriter, RunSummary
from callbacks.pictures.picture_files import png_bytes, write_figure, write_sheets
from callbacks.records.optional_files import OptionalFiles
from datamodules.files import WriteError, open_hdf5, write_text_atomically
from datamodules.storage.cache import remembered
from experiments import __main__ as program
from experiments.health.disk_errors import explain_disk


@pytest.fixture
def full(monkeypatch):
    """A disk that takes nothing from now on."""

    def fill(number=errno.ENOSPC):
        def refuse(*_, **__):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "replace", refuse)

    return fill


FULL = "No space left on device"

#: What h5py and a loader's worker make of an error of the system.
OF_HDF5 = f"Can't write data (filename = '/s/0.h5', file descriptor = 3, errno = 28, error message = '{FULL}', buf = 0)"
OF_A_WORKER = f"Caught OSError in DataLoader worker process 0.\n  File\nOSError: [Errno 28] {FULL}: '/c/1.npz'"
LOCKED = "[Errno 11] Unable to open file (unable to lock file, errno = 11, name = '/s/0.h5')"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, FULL), rf"a file that was being written: {FULL}; make room, or"),
        (OSError(28, FULL, "/tmp/a.csv"), rf"/tmp/a\.csv: {FULL}, [\d.]+ GiB are free; make room, or write elsewhere"),
        (PermissionError(13, "no", "runs/x"), r"runs/x: Permission denied; give yourself the right to write"),
        (OSError(30, "no", "/store/s.h5"), r"/store/s\.h5: Read-only file system; the disk is mounted"),
        (OSError(28, FULL, "/from", None, "/to/b"), rf"/to/b: {FULL}"),
        (OSError(24, "no", "/a"), r"/a: Too many open files; raise `ulimit -n`"),
        (OSError(OF_A_WORKER), rf"/c/1\.npz: {FULL}"),
        (OSError(OF_HDF5), rf"/s/0\.h5: {FULL}"),
        (BlockingIOError(LOCKED), r"/s/0\.h5: another program has it open, .*HDF5_USE_FILE_LOCKING=FALSE"),
    ],
)
def test_errors_of_the_system(error, line):
    assert re.match(line, explain_disk(error))
    assert "\n" not in explain_disk(error)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "no", "x"), ValueError("[errno]"), OSError("x"), WriteError("y")]
)
def test_other_errors_are_left_alone(error):
    assert explain_disk(error) is None


def test_a_read_only_cache_names_its_variable(tmp_path, monkeypatch, full):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path))
    assert "set SEGDEPTH_CACHE" in explain_disk(
        OSError(30, "Read-only file system", str(tmp_path / "rooms" / "x.lock"))
    )
    full(errno.EROFS)
    line = r"\.json: cannot be written \(Read-only file system\); set SEGDEPTH_CACHE"
    with pytest.raises(WriteError, match=line) as error:
        remembered("key", lambda: 1.5)
    assert not str(error.value).startswith("[Errno")


def test_every_command_says_it_in_a_line(monkeypatch, capsys):
    def full_disk(command, arguments):
        raise OSError(28, "No space left on device", "runs/x.csv")

    monkeypatch.setattr(program, "run", full_disk)
    with pytest.raises(SystemExit):
        program.main(["compare"])
    assert capsys.readouterr().err.startswith("segdepth: error: runs/x.csv: No space left on device")


def test_a_locked_file_is_not_called_unreadable(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = [1]
    script = f"import h5py, time; f = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(ValueError, match=r"x\.h5: another program has it open"), open_hdf5(path):
            pass
    finally:
        other.kill()
        other.wait()


def test_pictures_are_left_out(tmp_path, full):
    files = OptionalFiles("panels")
    assert files.write_or_stop(tmp_path / "a.png", png_bytes(Figure()))
    full()
    with pytest.warns(UserWarning, match=r"b\.png: .*No space left.*; no further panels, the test continues"):
        assert not files.write_or_stop(tmp_path / "b.png", png_bytes(Figure()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        assert not files.write_or_stop(tmp_path / "c.png", png_bytes(Figure()))
    with pytest.raises(WriteError, match=r"b\.png: cannot be written \(No space left on device\)"):
        write_figure(Figure(), tmp_path / "b.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_sheets_that_were_not_written_are_not_sent(tmp_path, full, monkeypatch):
    sent = []
    monkeypatch.setattr("callbacks.pictures.picture_files.log_pictures", lambda *call: sent.append(call))
    trainer, files = SimpleNamespace(default_root_dir=str(tmp_path)), OptionalFiles("sheets")
    write_sheets(trainer, files, "worst", {"nyuv2": Figure()})
    full()
    with pytest.warns(UserWarning, match="no further sheets"):
        write_sheets(trainer, files, "worst", {"ibims1": Figure()})
    assert sent == [(trainer, "test/worst", {"nyuv2": tmp_path / "worst_nyuv2.png"}), (trainer, "test/worst", {})]


def test_figures_are_printed_before_they_are_written(tmp_path, full, capsys):
    trainer = SimpleNamespace(
        is_global_zero=True, default_root_dir=str(tmp_path), logger=None, fast_dev_run=False,
        callback_metrics={"test/nyuv2/abs_rel": torch.tensor(0.125)},
    )  # fmt: skip
    method = SimpleNamespace(oracle="", evaluations={}, protocol_of=lambda _: SimpleNamespace(name="tiny"))
    (tmp_path / "metrics.json").write_text(json.dumps({"test/nyuv2/rmse": 1.0}))
    full()
    with pytest.raises(WriteError, match=r"metrics\.json: cannot be written"):
        RunSummary().on_test_end(trainer, method)
    assert "0.1250" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"test/nyuv2/rmse": 1.0}


def test_a_prediction_is_whole_or_not_there(tmp_path, full):
    trainer = SimpleNamespace(default_root_dir=str(tmp_path), datamodule=SimpleNamespace(test_names=lambda: ["nyuv2"]))
    prediction = SimpleNamespace(depth=torch.ones(1, 1, 4, 4))

    def write(index):
        batch = {"index": torch.tensor([index])}
        PredictionWriter().write_on_batch_end(trainer, None, prediction, None, batch, 0, 0)

    write(0)
    full()
    with pytest.raises(WriteError, match=r"0002\.npy: cannot be written \(No space left on device\); make room"):
        write(1)
    assert [path.name for path in (tmp_path / "predictions/nyuv2").iterdir()] == ["0001.npy"]
    assert np.load(tmp_path / "predictions/nyuv2/0001.npy").shape == (4, 4)


def test_a_text_names_its_file(tmp_path, full):
    full()
    with pytest.raises(WriteError, match=r"a\.csv: cannot be written \(No space left on device\)"):
        write_text_atomically(Path(tmp_path) / "a.csv", "x")
