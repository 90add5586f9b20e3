"""`segdepth data`: status, verify, convert and preview, on a tiny labelled file."""

import json
import os
import shutil
import signal

import cv2
import h5py
import numpy as np
import pytest
import torch

from datamodules import NYUv2DataModule
from datamodules.nyuv2.labeled_reader import NYUv2Reader
from datamodules.storage.store import StoreReader
from experiments.__main__ import main
from experiments.datasets import convert as data_convert

ALONE = ("--workers", "0")


@pytest.fixture
def labeled(workplace):
    return workplace / "data/nyuv2/nyu_depth_v2_labeled.mat"


def fails(capsys, *arguments, status=2):
    """Line of an error that a command must end with."""
    with pytest.raises(SystemExit) as exit_:
        main(["data", *arguments])
    assert exit_.value.code == status
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if line.startswith("segdepth: error: ")]
    assert len(lines) == (status == 2)
    assert "Traceback" not in output.err + output.out
    return lines[0] if lines else output.out


class TestStatus:
    def test_complete(self, workplace, capsys):
        main(["data", "status"])
        output = capsys.readouterr().out
        assert "labeled: 8 of 1,449 frames" in output
        assert "nyu_depth_v2.html: nyu_depth_v2_labeled.mat" not in output  # nothing to get
        assert "get it from github.com/apple/ml-hypersim" in output

    def test_partial(self, labeled, capsys):
        labeled.unlink()
        main(["data", "status"])
        output = capsys.readouterr().out
        assert "nyu_depth_v2.html: nyu_depth_v2_labeled.mat" in output
        assert f"put it into {labeled.parent}/" in output

    def test_root_takes_the_place_of_data_root(self, workplace, capsys):
        (workplace / "empty").mkdir()
        main(["data", "status", "--root", "empty"])
        output = capsys.readouterr().out
        assert "labeled:" not in output
        assert output.count("get it from") == 6

    def test_no_root(self, workplace, capsys, monkeypatch):
        assert "is not a folder" in fails(capsys, "status", "--root", "nowhere")
        monkeypatch.delenv("DATA_ROOT")
        assert "DATA_ROOT is not set" in fails(capsys, "status")


class TestVerify:
    def test_all_is_well(self, workplace, capsys):
        main(["data", "verify", "nyuv2", *ALONE])
        assert "8 frames read (train 4, val 0, test 4)" in capsys.readouterr().out

    def test_every_broken_frame_is_named(self, labeled, capsys):
        with h5py.File(labeled, "r+") as file:
            file["depths"][2] = 0
            file["depths"][5, 3, 3] = np.nan
            file["labels"][6] = 999
        output = fails(capsys, "verify", "--config", "data/nyuv2", "--workers", "2", "--report", "out/report.json",
                       status=1)  # fmt: skip
        broken = [line for line in output.splitlines() if line.startswith("broken: ")]
        assert [line.split(":")[1].strip() for line in broken] == ["train", "test", "test"]
        for line, frame, key in zip(broken, (2, 5, 6), ("depths", "depths", "labels"), strict=True):
            assert str(labeled) in line
            assert f"frame {frame} " in line
            assert f"`{key}`" in line
        assert "3 broken" in output
        report = json.loads((labeled.parents[2] / "out/report.json").read_text())
        assert [(found["position"], found["part"], found["scene"]) for found in report["broken"]] == [
            (2, "train", "office_0001"), (5, "test", "office_0002"), (6, "test", "office_0003")
        ]  # fmt: skip
        assert report["data"]["frames"] == {"train": 4, "val": 0, "test": 4}
        assert report["suspicious"] == []

    def test_only_frames_of_a_part_count(self, labeled):
        from scipy.io import savemat

        with h5py.File(labeled, "r+") as file:
            file["depths"][2] = 0
        parts = {"trainNdxs": np.array([[1], [2]], np.uint16), "testNdxs": np.array([[4]], np.uint16)}
        savemat(labeled.with_name("splits.mat"), parts)
        main(["data", "verify", "nyuv2", *ALONE])

    def test_mostly_invalid_depth_is_a_warning(self, labeled, capsys):
        with h5py.File(labeled, "r+") as file:
            file["depths"][3, :60] = 0  # of 64 columns
        main(["data", "verify", "nyuv2", "--report", "report.json", *ALONE])
        output = capsys.readouterr().out
        assert "warning: train: " in output
        assert "93.8 % of its depth is invalid" in output
        assert "0 broken, 1 suspicious" in output
        report = json.loads((labeled.parents[2] / "report.json").read_text())
        assert [found["position"] for found in report["suspicious"]] == [3]

    def test_depth_in_another_unit_is_a_warning(self, labeled, capsys):
        main(["data", "verify", "nyuv2", *ALONE])
        output = capsys.readouterr().out
        assert "median depth: train 1.72 m, test 2.62 m" in output
        assert "warning" not in output
        with h5py.File(labeled, "r+") as file:
            file["depths"][4:] = file["depths"][4:] / 10  # the test frames, as centimetres read as millimetres
        main(["data", "verify", "nyuv2", *ALONE])
        output = capsys.readouterr().out
        assert "warning: test: the median depth is 0.2" in output
        assert "warning: depth of train is 6.5" in output

    def test_mirrored_frames_are_a_warning(self, workplace, capsys, monkeypatch):
        def mirrored(self, position):
            image = torch.full((3, 480, 640), 255, dtype=torch.uint8)
            image[:, 5:-5, 7:-6] = 100
            frame = read(self, position)
            return type(frame)(image, frame.maps, frame.intrinsics, frame.scene, frame.frame, frame.index)

        read = NYUv2Reader.read
        monkeypatch.setattr(NYUv2Reader, "read", mirrored)
        main(["data", "verify", "nyuv2", *ALONE])
        output = capsys.readouterr().out
        assert "0 broken, 8 suspicious" in output
        assert output.count("looks mirrored") == 8

    def test_an_unforeseen_error_names_the_frame_too(self, labeled, capsys, monkeypatch):
        def read(self, position):
            raise {3: IndexError("odd")}.get(position, ValueError("known"))

        monkeypatch.setattr(NYUv2Reader, "read", read)
        output = fails(capsys, "verify", "nyuv2", *ALONE, status=1)
        assert output.count("broken: ") == 8
        assert f"{labeled}: frame 3 (0-based): IndexError: odd" in output

    def test_a_killed_process_is_an_error(self, workplace, capsys, monkeypatch):
        main_process, read = os.getpid(), NYUv2Reader.read

        def killed(self, position):
            if position == 5 and os.getpid() != main_process:
                os.kill(os.getpid(), signal.SIGKILL)
            return read(self, position)

        monkeypatch.setattr(NYUv2Reader, "read", killed)
        line = fails(capsys, "verify", "nyuv2", "--workers", "1")
        assert "was killed" in line
        assert "--workers" in line

    def test_a_missing_file_is_an_error(self, labeled, capsys):
        labeled.with_name("splits.mat").unlink()
        assert "splits.mat is missing" in fails(capsys, "verify", "nyuv2")


def stored_frames(workplace, **options):
    module = NYUv2DataModule(str(workplace / "data/nyuv2"), **options)
    return [module.reader.read(position) for position in range(len(module.reader))], module.splits


class TestConvert:
    def test_the_store_gives_equal_frames(self, workplace, capsys):
        main(["data", "convert", "nyuv2", "--output", "store", "--workers", "2"])
        assert "--data.init_args.store store" in capsys.readouterr().out
        original, splits = stored_frames(workplace)
        shutil.rmtree(workplace / "data")
        converted, stored_splits = stored_frames(workplace, store=str(workplace / "store"))
        assert len(original) == len(converted) == 8
        for a, b in zip(original, converted, strict=True):
            assert torch.equal(a.image, b.image)
            assert a.maps.keys() == b.maps.keys() >= {"depth", "semantics", "instances"}
            for key, values in a.maps.items():
                assert torch.equal(values, b.maps[key])
                assert values.dtype == b.maps[key].dtype
            assert torch.equal(a.intrinsics, b.intrinsics)
            assert (a.scene, a.frame, a.index) == (b.scene, b.frame, b.index)
        assert [list(p) for p in vars(splits).values()] == [list(p) for p in vars(stored_splits).values()]
        main(["data", "verify", "nyuv2", "--data.init_args.store", "store", *ALONE])

    def test_an_interrupted_conversion_goes_on(self, workplace, capsys, monkeypatch):
        monkeypatch.setattr("datamodules.storage.store.SHARD", 2)
        read, asked = NYUv2Reader.read, []

        def interrupted(self, position):
            if position == 5:
                raise ValueError("frame 5 is broken")
            return read(self, position)

        def counted(self, position):
            asked.append(position)
            return read(self, position)

        convert = ("convert", "nyuv2", "--output", "store", *ALONE)
        monkeypatch.setattr(NYUv2Reader, "read", interrupted)
        assert "frame 5 is broken" in fails(capsys, *convert)
        assert "run it again" in fails(capsys, "verify", "nyuv2", "--data.init_args.store", "store")
        monkeypatch.setattr(NYUv2Reader, "read", counted)
        main(["data", *convert])
        assert asked == [0, 4, 5, 6, 7]  # the first only to estimate the size
        assert len(StoreReader(workplace / "store")) == 8

    def test_another_plan(self, workplace, capsys):
        main(["data", "convert", "nyuv2", "--output", "store", *ALONE])
        line = fails(capsys, "convert", "nyuv2", "--output", "store", "--data.init_args.max_depth", "5", *ALONE)
        assert "other data or options" in line

    def test_a_full_disk(self, workplace, capsys, monkeypatch):
        monkeypatch.setattr(data_convert.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
        line = fails(capsys, "convert", "nyuv2", "--output", "new/store", *ALONE)
        assert "free" in line
        assert not (workplace / "new").exists()

    @pytest.mark.parametrize("compression", [None, "lzf"])
    def test_the_estimate_is_near_the_size(self, workplace, compression):
        flags = ("--compression", compression) if compression else ()
        main(["data", "convert", "nyuv2", "--output", "store", *flags, *ALONE])
        frames, _ = stored_frames(workplace)
        estimate = len(frames) * data_convert.stored_bytes(frames[0], compression)
        with h5py.File(workplace / "store/frames-00000.h5") as file:
            stored = sum(file["maps"][key].id.get_storage_size() for key in file["maps"])
        assert estimate == pytest.approx(stored, rel=0.1)
        if compression is None:
            assert stored == 8 * 48 * 64 * (3 + 4 + 1 + 2)  # image, depth, classes, and ids of objects beyond 255

    def test_of_a_store(self, workplace, capsys):
        main(["data", "convert", "nyuv2", "--output", "store", *ALONE])
        line = fails(capsys, "convert", "nyuv2", "--data.init_args.store", "store", "--output", "other")
        assert "store already" in line


class TestPreview:
    @pytest.mark.parametrize(("part", "frames", "rows"), [("train", 3, 3), ("test", 9, 4)])
    def test_a_row_a_frame(self, workplace, capsys, part, frames, rows):
        main(["data", "preview", "nyuv2", "--part", part, "--frames", str(frames), "--output", "sheets/sheet.png"])
        picture = cv2.imread(str(workplace / "sheets/sheet.png"))
        # image, depth, semantics, instances and superpixels; 480 pixels wide each, and 65 of caption above
        assert picture.shape == (rows * (480 * 48 // 64 + 65), 5 * 480, 3)
        for row in np.split(picture, rows):
            assert all(cell.std() > 10 for cell in np.split(row, 5, axis=1))
        assert f"{rows} of 4 {part} frames" in capsys.readouterr().out

    def test_an_empty_part(self, workplace, capsys):
        assert "--part val" in fails(capsys, "preview", "nyuv2", "--part", "val")
        assert not (workplace / "preview.png").exists()


class TestCommandLine:
    def test_usage(self, workplace, capsys):
        main(["data"])
        output = capsys.readouterr().out
        assert all(command in output for command in ("status", "verify", "convert", "preview"))

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["covert"], ["covert", "convert"]),
            (["verify"], ["needs a data set"]),
            (["verify", "nyuv3"], ["nyuv3"]),
            (["verify", "--config", "tiny.yaml", "--data.init_args.seed", "3"], ["needs a data set"]),
            (["convert", "nyuv2"], ["output", "--help"]),
            (["verify", "nyuv2", "--repor", "x.json"], ["repor"]),
            (["verify", "nyuv2", "--workers", "many"], ["workers", "many"]),
            (["verify", "nyuv2", "--data.init_args.max_dept", "3"], ["max_dept", "did you mean", "max_depth"]),
            (["verify", "nyuv2", "--root", "nowhere"], ["nowhere/nyuv2"]),
            (["verify", "nyuv2", "--data.init_args.root", "nowhere"], ["nowhere/"]),
            (["verify", "nyu2"], ["did you mean `nyuv2`"]),
            (
                ["convert", "nyuv2", "--output", "o", "--data.init_args.resize", "[24, 32]"],
                ["--data.init_args.resize", "changes nothing in `convert`", "preprocess"],
            ),
            (["verify", "nyuv2", "--data.num_workers", "2"], ["--data.init_args.num_workers", "`--workers`"]),
        ],
    )
    def test_one_line_for_what_cannot_be_used(self, workplace, capsys, arguments, words):
        line = fails(capsys, *arguments)
        assert all(word in line for word in words)

    def test_a_later_configuration_changes_the_set(self, workplace, capsys):
        (workplace / "far.yaml").write_text("data: {init_args: {min_depth: 9.5}}")
        assert "no depth in 9.5" in fails(capsys, "verify", "nyuv2", "--config", "far.yaml", *ALONE, status=1)
