"""`segdepth evaluate`: predictions of any program, in any form, get the figures that `segdepth test` would give."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import yaml
from lightning.pytorch import Callback

from datamodules import NYUv2DataModule
from experiments.__main__ import main
from experiments.config.compose import ConfigError
from experiments.foreign import evaluate as evaluate_command
from tests.datamodules.nyuv2.test_trees import write_frame
from tests.experiments.conftest import tiny
from tests.helpers.commands import command

evaluate = command("evaluate")


#: Numbers of the tiny set's test frames, counted from 1.
NUMBERS = (5, 6, 7, 8)

FORMATS = {
    "npy": lambda path, depth: np.save(path, depth),
    "npz": lambda path, depth: np.savez(path, depth=depth),
    "png": lambda path, depth: cv2.imwrite(str(path), (depth * 1000).round().astype(np.uint16)),
}


@pytest.fixture
def truth(workplace):
    """Depth of all frames (8, 48, 64), metres."""
    with h5py.File(workplace / "data/nyuv2/nyu_depth_v2_labeled.mat") as file:
        return file["depths"][:].transpose(0, 2, 1)


@pytest.fixture
def guess(truth):
    """A prediction of each frame at half the size, off by up to 20 %."""
    noise = np.random.default_rng(0).uniform(0.8, 1.2, (8, 24, 32))
    return (truth[:, ::2, ::2] * noise).astype(np.float32)


@pytest.fixture
def no_pictures(monkeypatch):
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(evaluate_command, "Panels", Callback)
    monkeypatch.setattr(evaluate_command, "WorstCases", Callback)


def write(folder, guess, suffix="npy", numbers=NUMBERS):
    folder.mkdir(parents=True)
    for number in numbers:
        FORMATS[suffix](folder / f"{number:04d}.{suffix}", guess[number - 1])
    return folder


def run(source, *flags, output="out", groups="[depth]"):
    """Evaluate; gives the figures by name."""
    measured = ["--evaluation.groups", groups] if groups else []
    evaluate(["--predictions", str(source), "--data", "nyuv2", "--protocol", "rooms", "--output", output,
              "--data.init_args.num_workers", "0", *measured, *flags])  # fmt: skip
    figures = json.loads((Path(output) / "metrics.json").read_text())
    return {key.removeprefix("test/nyuv2/"): value for key, value in figures.items()}


def complaint(*arguments, error=(ValueError, FileNotFoundError), **options):
    """The one line that ends it, before an output folder is made."""
    with pytest.raises(error) as raised:
        run(*arguments, output="refused", **options)
    assert not Path("refused").exists()
    (line,) = str(raised.value).splitlines()
    return line


def test_the_figures_are_right(workplace, truth, guess, no_pictures):
    """Against nearest-pixel predictions at full size, where no resize can hide an error."""
    whole = np.repeat(np.repeat(guess, 2, axis=1), 2, axis=2)
    figures = run(write(workplace / "mine", whole))
    relative = [np.mean(abs(whole[i] - truth[i]) / truth[i], dtype=np.float64) for i in range(4, 8)]
    squares = [np.mean((whole[i].astype(float) - truth[i]) ** 2) for i in range(4, 8)]
    assert figures["abs_rel"] == pytest.approx(np.mean(relative), rel=1e-6)
    assert figures["rmse"] == pytest.approx(np.mean(np.sqrt(squares)), rel=1e-6)
    median = np.median(truth[:4])
    baseline = [np.mean(abs(median - truth[i]) / truth[i]) for i in range(4, 8)]
    assert figures["baseline_abs_rel"] == pytest.approx(np.mean(baseline), rel=1e-3)


def test_every_form_gives_the_same_figures(workplace, guess, no_pictures):
    figures = run(write(workplace / "npy", guess), output="out_npy")
    assert run(write(workplace / "npz", guess, "npz"), output="out_npz") == figures
    with h5py.File(workplace / "rows.h5", "w") as file:
        file["depth"] = guess[4:]
    assert run(workplace / "rows.h5", output="out_h5") == figures
    png = run(write(workplace / "png", guess, "png"), output="out_png")
    assert png.keys() == figures.keys()
    for name in ("abs_rel", "rmse", "mae"):
        assert png[name] == pytest.approx(figures[name], abs=5e-4)
    inverse = run(write(workplace / "inverse", 1 / guess), "--inverse", "true", output="out_inverse")
    assert inverse == pytest.approx(figures, rel=1e-5)


def test_folders_of_scenes_and_one_array(workplace, guess, no_pictures):
    figures = run(write(workplace / "npy", guess), output="out_npy")
    for number in NUMBERS:
        folder = workplace / "scenes" / f"office_{(number - 1) // 2:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{(number - 1) % 2:02d}.npy", guess[number - 1])
    assert run(workplace / "scenes", output="out_scenes") == figures
    np.save(workplace / "all.npy", guess[4:])
    assert run(workplace / "all.npy", output="out_all") == figures


def test_data_of_which_only_the_test_part_is_there(workplace, no_pictures, capsys):
    """A BTS tree without its training list, or without the training files that its list names."""
    root = workplace / "data/nyuv2"
    shutil.rmtree(root)
    pairs = [(f"bathroom/rgb_{n:05d}.jpg", f"bathroom/sync_depth_{n:05d}.png") for n in (45, 46)]
    for image, depth in pairs:
        write_frame(root / "test", image, depth)
    lines = [f"{image} {depth} 518.8579\n" for image, depth in pairs]
    (root / "nyudepthv2_test_files_with_gt.txt").write_text("".join(lines))
    mine = workplace / "mine"
    mine.mkdir()
    for number in (46, 47):
        np.save(mine / f"{number:04d}.npy", np.full((24, 32), 2.5, np.float32))
    figures = run(mine, output="out_list")
    assert figures["abs_rel"] < 1e-6
    main(["data", "verify", "nyuv2", "--workers", "0"])
    assert "warning: train: " in capsys.readouterr().out
    absent = "kitchen_0001/rgb_1.jpg kitchen_0001/sync_1.png 518.8\n"
    (root / "nyudepthv2_train_files_with_gt.txt").write_text(60 * absent)
    with pytest.warns(UserWarning, match="no constant baseline"):
        assert run(mine, output="out_files") == figures
    module = NYUv2DataModule(str(root), crop=(32, 32))
    for stage in ("test", "predict"):
        module.setup(stage)
    with pytest.raises(FileNotFoundError, match=r"kitchen_0001/rgb_1\.jpg is missing, one of"):
        module.setup("fit")


def test_another_unit_is_said_beside_the_figures(workplace, guess, no_pictures, capsys):
    run(write(workplace / "mm", 1000 * guess), output="out_mm")
    output = capsys.readouterr().out
    assert "warning: nyuv2: the median of predictions is about" in output
    assert "millimetres?" in output
    run(write(workplace / "disparity", 8 / guess), output="out_disparity")
    assert "against the truth (mean correlation -0." in capsys.readouterr().out
    run(write(workplace / "npy", guess), output="out_npy")
    assert "warning" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_predict_writes_gets_the_figures_of_test(workplace, no_pictures):
    """Not nearly: the very numbers, in every figure that needs no more than depth, and every row of the table.

    The network's output is smaller than the truth, and the protocol aligns it and counts in other units.
    """
    for verb in ("test", "predict"):
        main([verb, *tiny("dpt_hybrid"), "--run.name", "it", "--data.init_args.eval_size", "[32, 48]",
              "--model.init_args.protocol.alignment", "median", "--model.init_args.protocol.unit", "10"])  # fmt: skip
    own = workplace / "runs/dpt_hybrid/it"
    assert np.load(own / "predictions/nyuv2/0005.npy").shape == (32, 48)
    same_median = ("--data.init_args.val_scenes", "0.5")  # of the training frames that are left
    run(own / "predictions/nyuv2", "--protocol.alignment", "median", "--protocol.unit", "10", *same_median, groups=None)
    theirs, ours = (json.loads((folder / "metrics.json").read_text()) for folder in (own, workplace / "out"))
    assert not {key for key in theirs.keys() - ours.keys() if "recall@" not in key and "retrieval" not in key}
    assert ours == {key: theirs[key] for key in ours}
    assert len(ours) > 20
    tables = []
    for folder in (own, workplace / "out"):
        with (folder / "per_image.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    assert [row["index"] for row in tables[1]] == ["4", "5", "6", "7"]
    for theirs, ours in zip(*tables, strict=True):
        assert ours == {key: theirs[key] for key in ours}


@pytest.mark.slow
def test_what_it_leaves(workplace, guess, capsys):
    source = write(workplace / "peers" / "zoedepth", guess)
    arguments = ["--predictions", str(source), "--data", "nyuv2", "--protocol=rooms",
                 "--data.init_args.num_workers", "0", "--protocol.alignment", "median"]  # fmt: skip
    evaluate(arguments)
    (folder,) = (workplace / "runs" / "zoedepth").iterdir()
    assert folder.name.endswith("-nyuv2")
    with (folder / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["index"], row["scene"]) for row in rows] == [
        ("nyuv2", "4", "office_0002"), ("nyuv2", "5", "office_0002"),
        ("nyuv2", "6", "office_0003"), ("nyuv2", "7", "office_0003"),
    ]  # fmt: skip
    assert all(value for row in rows for value in row.values())
    figures = json.loads((folder / "metrics.json").read_text())
    assert figures["test/nyuv2/abs_rel"] == pytest.approx(np.mean([float(row["abs_rel"]) for row in rows]), rel=1e-6)
    assert cv2.imread(str(folder / "worst_nyuv2.png")).std() > 10
    assert len(list((folder / "panels").iterdir())) == 4
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["method"] == "zoedepth"
    assert environment["predictions"] == {"source": str(source), "matched": "by number", "missing": []}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["init_args"]["protocol"]["alignment"] == "median"
    assert config["evaluate"]["predictions"] == str(source)
    output = capsys.readouterr().out
    assert "zoedepth: 4 predictions of nyuv2, found by number; protocol rooms" in output
    assert "abs_rel" in output
    main(["compare"])
    assert "zoedepth" in capsys.readouterr().out

    evaluate(["--predictions", str(source), "--config", str(folder / "config.yaml"), "--output", "again"])
    assert json.loads((workplace / "again/metrics.json").read_text()) == figures


class TestMissing:
    def test_is_an_error(self, workplace, guess):
        source = write(workplace / "mine", guess, numbers=(5, 8))
        line = complaint(source)
        assert "2 of 4 predictions are missing, the first of frame 6 (counted from 1)" in line
        assert "with `--allow_missing`" in line

    def test_may_be_allowed(self, workplace, guess, no_pictures, capsys):
        source = write(workplace / "mine", guess, numbers=(5, 8))
        figures = run(source, "--allow_missing", "true", output="some")
        assert "2 of 4 predictions are missing" in capsys.readouterr().out
        with open("some/per_image.csv") as file:
            rows = list(csv.DictReader(file))
        assert [row["index"] for row in rows] == ["4", "7"]
        assert figures["abs_rel"] == pytest.approx(np.mean([float(row["abs_rel"]) for row in rows]), rel=1e-6)
        environment = json.loads(Path("some/environment.json").read_text())
        assert environment["predictions"]["missing"] == [6, 7]
        assert environment["data"]["frames"]["test"] == 2

    def test_none_at_all(self, workplace, guess):
        source = write(workplace / "mine", guess, numbers=(1, 2, 3, 4))  # counted from the first test frame
        assert "number them as `nyuv2` numbers its frames" in complaint(source, "--allow_missing", "true")


class TestBadInput:
    def test_a_damaged_file_is_named(self, workplace, guess, no_pictures):
        source = write(workplace / "mine", guess)
        path = source / "0007.npy"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match=r"0007\.npy: truncated"):
            run(source)
        assert not Path("out/metrics.json").exists()

    def test_sizes_that_differ(self, workplace, guess, no_pictures):
        source = write(workplace / "mine", guess)
        np.save(source / "0006.npy", guess[5, ::2, ::2])
        together = run(source)
        alone = run(source, "--data.init_args.eval_batch_size", "1", output="one")
        assert 0 < together["abs_rel"] < 0.3
        assert together == pytest.approx(alone, rel=1e-6, nan_ok=True)

    def test_transposed_maps(self, workplace, guess, no_pictures):
        source = write(workplace / "mine", guess.transpose(0, 2, 1))
        with pytest.raises(ValueError, match=r"0005.npy: is 32x24 pixels, the frame 48x64: rows and columns"):
            run(source)

    def test_not_finite(self, workplace, guess, no_pictures):
        """A prediction with a hole is counted, and nobody gets a figure that passes over it."""
        guess[6, 3, 3] = np.nan
        figures = run(write(workplace / "mine", guess))
        assert figures["nonfinite"] > 0
        assert figures["abs_rel"] is None  # JSON has no NaN

    def test_earlier_figures_are_not_overwritten(self, workplace, guess, no_pictures):
        source = write(workplace / "mine", guess)
        run(source)
        before = Path("out/metrics.json").read_bytes()
        with pytest.raises(ConfigError, match="out: holds metrics already"):
            run(source)
        assert Path("out/metrics.json").read_bytes() == before

    def test_names(self, workplace, guess):
        source = write(workplace / "mine", guess)
        assert "no protocol configuration `nyu_eigne`; did you mean `nyu_eigen`" in complaint(
            source, "--protocol=nyu_eigne"
        )
        assert "no data configuration `nyuv3`; did you mean `nyuv2`" in complaint(source, "--data", "nyuv3")
        assert "did you mean `protocol.crop`" in complaint(source, "--protocol.crpo", "none")
        assert "no group `dpeth`" in complaint(source, groups="[dpeth]")
        with pytest.raises(ConfigError, match="needs a data set"):
            evaluate(["--predictions", str(source)])
        with pytest.raises(ConfigError, match="predictions"):
            evaluate(["--data", "nyuv2"])

    def test_the_protocol_must_fit_the_frames(self, workplace, guess, no_pictures):
        with pytest.raises(ValueError, match="crop `eigen` is defined on 480x640"):
            run(write(workplace / "mine", guess), "--protocol", "nyu_eigen")
