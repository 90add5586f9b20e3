"""No two commands at once in one folder: names are claimed, and what is held ends with its process."""

import errno
import fcntl
import json
import os
import signal
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only

import experiments.results.run_folder
from experiments.__main__ import main
from experiments.config.compose import ConfigError
from experiments.results.folder_lock import LOCK_FILE, is_held, work_in
from experiments.results.run_folder import RUN_ENVIRONMENT, take_folder
from tests.experiments.conftest import tiny
from tests.helpers.busy_folder import held_elsewhere


def test_a_folder_in_which_another_process_is_at_work_is_refused_until_it_dies(tmp_path):
    folder = tmp_path / "runs/net/one"
    with held_elsewhere(folder) as process:
        assert is_held(folder)
        said = rf"net/one: another process is at work there \(process {process} on .*\); choose another$"
        with pytest.raises(ConfigError, match=said), work_in(folder, "choose another"):
            pass
    assert not is_held(folder)
    assert (folder / LOCK_FILE).exists()  # it was killed, and could not clean up
    with work_in(folder, ""):
        assert is_held(folder)
        assert (folder / LOCK_FILE).read_text().startswith(f"process {os.getpid()} on ")


def test_what_stays_empty_is_removed_and_what_was_there_stays(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ZeroDivisionError), work_in(tmp_path / "runs/net/one", ""):
        1 / 0  # noqa: B018
    assert list((tmp_path / "runs").iterdir()) == []
    with work_in(tmp_path / "runs/net/one", "") as folder:
        (folder / "metrics.json").write_text("{}")
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]


def test_a_child_does_not_keep_what_its_parent_held(tmp_path):
    with ExitStack() as stack:
        stack.enter_context(work_in(tmp_path / "one", ""))
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        assert not is_held(tmp_path / "one")
        with work_in(tmp_path / "one", ""):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_runs_named_in_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_ENVIRONMENT, "")
    monkeypatch.setattr(experiments.results.run_folder, "name_run", lambda data, profile: f"now-{data}-{profile}")
    with ExitStack() as stack:
        names = []
        for _ in range(3):
            names.append(stack.enter_context(take_folder(tmp_path / "net", None, "rooms", "quick", "")).name)
            assert os.environ[RUN_ENVIRONMENT] == names[-1]  # what other processes of the run are told
            monkeypatch.setenv(RUN_ENVIRONMENT, "")
    assert names == ["now-rooms-quick", "now-rooms-quick-2", "now-rooms-quick-3"]


def test_other_ranks_work_in_the_folder_that_they_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_ENVIRONMENT, "told")
    with take_folder(tmp_path, None, "rooms", "", "") as folder:
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        with take_folder(tmp_path, None, "rooms", "", "") as other:
            assert other == folder == tmp_path / "told"
        assert is_held(folder)


def test_a_file_system_without_locks_stops_nobody(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with work_in(tmp_path / "one", "") as folder, work_in(folder, "") as same:
        (same / "metrics.json").write_text("{}")
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]


def test_a_full_disk_leaves_a_lock_without_a_name(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    with work_in(tmp_path / "one", "") as folder:
        assert is_held(folder)
        with pytest.raises(ConfigError, match="it does not say which"), work_in(folder, ""):
            pass


def test_who_looks_whether_a_folder_is_held_stops_nobody(tmp_path):
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_held(tmp_path / "one")

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(50):
            with work_in(tmp_path / "one", "") as folder:
                (folder / "metrics.json").touch()
    finally:
        stop.set()
        looking.join()


def test_where_no_folder_can_be_made_one_line_says_so(tmp_path):
    (tmp_path / "runs").write_text("a file")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="cannot be made"), work_in(tmp_path / "runs/net/one", "", fresh=fresh):
            pass


def refusal(capsys, *arguments):
    """The one line with which a command is refused."""
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    assert end.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("segdepth: error")]
    return line


def test_commands_are_refused_where_another_is_at_work(workplace, capsys):
    with held_elsewhere(workplace / "runs/dpt_hybrid/one") as process:
        line = refusal(capsys, "exp", *tiny("dpt_hybrid"), "--run.name", "one")
        assert f"runs/dpt_hybrid/one: another process is at work there (process {process} on" in line
        assert "--run.name NAME" in line
    predictions = workplace / "predictions"
    predictions.mkdir()
    for number in (5, 6):
        np.save(predictions / f"{number:04d}.npy", np.ones((48, 64), np.float32))
    evaluated = ["evaluate", "--predictions", predictions, "--data", "nyuv2", "--allow_missing", "true"]
    with held_elsewhere(workplace / "figures"):
        assert "choose another `--output`" in refusal(capsys, *evaluated, "--output", "figures")
    with held_elsewhere(workplace / "store"):
        line = refusal(capsys, "data", "convert", "nyuv2", "--output", "store", "--workers", "0")
        assert "store: another process is at work there" in line


def test_a_store_goes_on_after_a_conversion_that_was_killed(workplace):
    store = workplace / "store"
    store.mkdir()
    (store / "frames-00000.99.part").write_bytes(b"half")
    main(["data", "convert", "nyuv2", "--output", "store", "--workers", "0"])
    assert sorted(path.name for path in store.iterdir()) == ["frames-00000.h5", "plan.json", "store.json"]
    assert json.loads((store / "store.json").read_text())["name"]
