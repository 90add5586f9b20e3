"""A test that a signal stops ends between two batches, and the next one goes on there with the same figures."""

import csv
import json
import os
import shutil
import signal
from copy import deepcopy

import numpy as np
import pytest
import yaml

from callbacks import PerImageTable, WorstCases
from datamodules.frames import FrameDataset
from experiments.__main__ import main
from lightning_modules.metrics import PointCloudChamfer
from lightning_modules.metrics.nearest_points import nearest_distances
from tests.experiments.train.test_resume import EXPERIMENT
from tests.helpers.tiny_nyu import write_tiny_nyu

#: What collects something in a test, and what writes it.
WATCHING = {
    "BestCheckpoint": {},
    "LastCheckpoint": {},
    "ConstantBaseline": {},
    "WorstCases": {"init_args": {"frames": 2}},
    "PerImageTable": {},
    "PredictionWriter": {},
    "RunSummary": {},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with ten test frames, and the experiment `tiny.yaml`, trained and tested as run `whole`."""
    place = tmp_path_factory.mktemp("trained")
    write_tiny_nyu(place / "data" / "nyuv2", frames=20)
    experiment = deepcopy(EXPERIMENT)
    experiment["trainer"]["max_epochs"] = 1
    experiment["trainer"]["callbacks"] = [
        {"class_path": f"callbacks.{name}", **options} for name, options in WATCHING.items()
    ]
    experiment["model"]["init_args"]["evaluation"] = {"groups": ["depth", "cloud"]}
    experiment["data"]["init_args"]["variants"] = {"small": {"eval_size": [24, 32], "groups": ["depth"]}}
    (place / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("DATA_ROOT", str(place / "data"))
        main(command("exp"))
    return place


@pytest.fixture
def workplace(trained, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    return tmp_path


def kill_at(monkeypatch, owner, method, call, number):
    """Send this process a signal at a call of a method."""
    original, calls = getattr(owner, method), []

    def killing(self, *args, **options):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(self, *args, **options)

    monkeypatch.setattr(owner, method, killing)


def results(run):
    with (run / "per_image.csv").open() as file:
        return json.loads((run / "metrics.json").read_text()), list(csv.DictReader(file))


def command(name, *flags):
    return [name, "--config", "tiny.yaml", "--run.name", "whole", *flags]


def test_a_stopped_test_goes_on_with_the_same_figures(workplace, monkeypatch, caplog):
    run = workplace / "runs/tiny/whole"
    whole, sheet = results(run), (run / "worst_nyuv2.png").read_bytes()
    before = sorted(run.iterdir())
    (run / "worst_nyuv2.png").unlink()

    read, original = [], FrameDataset.__getitem__

    def counted(self, key):
        read.append(key)
        return original(self, key)

    with monkeypatch.context() as patch:
        kill_at(patch, PointCloudChamfer, "update", 2, signal.SIGTERM)
        with pytest.raises(SystemExit) as end:
            main(command("test", "--ckpt_path", "best"))
        assert end.value.code == 128 + signal.SIGTERM
    (kept,) = run.glob("test_progress-*.pt")
    assert "stopped after 8 test frames" in caplog.text
    assert str(kept.relative_to(workplace)) in caplog.text
    assert results(run) == whole  # what an earlier test left is left

    monkeypatch.setattr(FrameDataset, "__getitem__", counted)
    with monkeypatch.context() as patch:  # Ctrl-C, in the second test set, where the first is done
        kill_at(patch, WorstCases, "on_test_batch_end", 3, signal.SIGINT)
        with pytest.raises(SystemExit) as end:
            main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", "best"])
        assert end.value.code == 130
    assert "stopped after 18 test frames" in caplog.text
    main(command("test", "--ckpt_path", "best"))
    assert len(read) == 2 + 8 + 2  # of twenty
    assert results(run) == whole
    assert (run / "worst_nyuv2.png").read_bytes() == sheet
    assert not kept.exists()
    assert set(before) <= set(run.iterdir())


def test_a_test_of_other_options_or_a_damaged_file_goes_on_with_nothing(workplace, monkeypatch):
    run, others = workplace / "runs/tiny/whole", []
    for flags in ([], ["--data.init_args.eval_batch_size", "5"]):
        with monkeypatch.context() as patch:
            kill_at(patch, PointCloudChamfer, "update", 1, signal.SIGTERM)
            with pytest.raises(SystemExit):
                main(command("test", "--ckpt_path", "best", *flags))
        others.append(set(run.glob("test_progress-*.pt")))
    (kept,) = others[0]
    assert len(others[1]) == 2
    whole, content = results(run), bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    main(command("test", "--ckpt_path", "best"))
    assert results(run) == whole
    assert not kept.exists()


def test_predict_ends_with_its_line(workplace, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        kill_at(patch, FrameDataset, "__getitem__", 3, signal.SIGINT)
        with pytest.raises(SystemExit) as end:
            main(command("predict", "--ckpt_path", "best"))
    assert end.value.code == 130
    assert "SIGINT: stopped; what was predicted so far is in runs/tiny/whole" in caplog.text
    assert len(list((workplace / "runs/tiny/whole/predictions/nyuv2").iterdir())) == 4


def test_evaluate_ends_between_batches_too(workplace, monkeypatch, caplog):
    folder = workplace / "mine"
    folder.mkdir()
    for number in range(11, 21):
        np.save(folder / f"{number:04d}.npy", np.ones((48, 64), dtype=np.float32))
    kill_at(monkeypatch, PointCloudChamfer, "update", 1, signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--predictions", str(folder), "--data", "nyuv2", "--protocol", "rooms", "--output", "out"])
    assert end.value.code == 128 + signal.SIGTERM
    assert "SIGTERM: stopped; nothing of the test is kept" in caplog.text


def test_ctrl_c_before_the_first_batch_ends_as_everywhere(workplace, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("callbacks.PredictionWriter.setup", interrupted)
    with pytest.raises(SystemExit) as end:
        main(command("predict", "--ckpt_path", "best"))
    assert end.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "segdepth: interrupted"


def test_what_fails_after_a_signal_is_no_librarys_message(workplace, monkeypatch, capsys):
    """Once, SIGTERM while figures were written ended in `Please call iter(combined_loader) first`."""

    def fail(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("Please call `iter(combined_loader)` first.")

    monkeypatch.setattr(PerImageTable, "on_test_epoch_end", fail)
    with pytest.raises(SystemExit) as end:
        main(command("test", "--ckpt_path", "best"))
    assert end.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err.splitlines()[-1] == "segdepth: stopped by SIGTERM"


def test_a_signal_while_figures_are_written_lets_them_be_written(workplace, monkeypatch, caplog):
    run = workplace / "runs/tiny/whole"
    (run / "metrics.json").unlink()
    kill_at(monkeypatch, PerImageTable, "on_test_epoch_end", 1, signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        main(command("test", "--ckpt_path", "best"))
    assert end.value.code == 128 + signal.SIGTERM
    assert (run / "metrics.json").exists()
    assert "the test was over, and its metrics are written" in caplog.text


def search_without_end(points):
    while True:
        nearest_distances(points.copy(), points + 0.05, workers=2)


def test_threads_of_the_search_outlive_a_signal():
    """SciPy's own read freed arrays when an exception ends the thread that waits for them."""
    points = np.random.default_rng(0).normal(size=(50000, 3))
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for delay in np.linspace(0.005, 0.04, 8):
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises(KeyboardInterrupt):
                search_without_end(points)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
