"""Lists and tables: lines that name nothing, lines of another form, text that is none."""

import pytest

from datamodules.hypersim.scene_format import FLAGGED_FILE
from tests.helpers.complaints import check_complaint, complaints
from tests.helpers.faults import text


def swap(old, new):
    """A fault that replaces a text, where it stands last."""

    def act(path):
        head, tail = path.read_text().rsplit(old, 1)
        path.write_text(head + new + tail)

    return act


def add(line, blank_lines=2):
    """A fault that adds a line, after blank ones that count as lines."""
    return lambda path: path.write_text(path.read_text() + "\n" * blank_lines + line + "\n")


def other_bytes(path):
    """A file saved in Latin-1."""
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\ncaf\xe9/rgb_1.jpg " + rest)


BTS, MARIGOLD = "nyuv2/nyudepthv2_train_files_with_gt.txt", "nyuv2/filename_list_train.txt"
SPLIT, CAMERAS = (f"hypersim/metadata_{name}.csv" for name in ("images_split_scene_v1", "camera_parameters"))
NAMES = "ibims1/imagelist.txt"

FAULTS = [
    ("bts", BTS, add("/kitchen/rgb_00001.jpg"), ["line 7 "]),
    ("bts", BTS, add("/kitchen/rgb.jpg /kitchen/depth.png 518.8"), ["line 7 "]),
    ("bts", BTS, text("/kitchen/rgb_00001.jpg None 518.8\n"), ["no frame with depth"]),
    ("bts", BTS, other_bytes, ["line 2 is not UTF-8"]),
    ("bts", BTS, text(" \n\n"), ["names no frame"]),
    ("marigold", MARIGOLD, add("a.png b.png"), ["line 7 "]),
    ("marigold", MARIGOLD, add("rgb_1.png b.png"), ["line 7 "]),
    ("marigold", MARIGOLD, other_bytes, ["line 2 is not UTF-8"]),
    ("hypersim", SPLIT, swap("scene_name", "scene"), ["`scene_name` is missing"]),
    ("hypersim", SPLIT, add("ai_001_001,cam_00", 0), ["line 9 has 2 cells"]),
    ("hypersim", SPLIT, add("ai_001_001,cam_00,one,True,,train", 0), ["line 9 "]),
    ("hypersim", SPLIT, add("ai_001_001,cam_00,1,True,,training", 0), ["line 9 "]),
    ("hypersim", SPLIT, other_bytes, ["line 2 is not UTF-8"]),
    ("hypersim", SPLIT, text("a" * 200_000), ["is not a CSV table"]),
    ("hypersim", CAMERAS, swap("M_cam_from_uv_22", "M"), ["`M_cam_from_uv_22` is missing"]),
    ("hypersim", CAMERAS, swap("ai_001_003", "ai_009_009"), ["ai_001_003"]),
    ("hypersim", CAMERAS, swap("-1.0\n", "far\n"), ["ai_001_0", "no camera"]),
    ("hypersim", CAMERAS, swap("-1.0\n", "nan\n"), ["ai_001_0", "no camera"]),
    ("hypersim", CAMERAS, other_bytes, ["line 2 is not UTF-8"]),
    ("ibims_png", NAMES, add("corridor"), ["'corridor'"]),
    ("ibims_png", NAMES, other_bytes, ["line 2 is not UTF-8"]),
]

#: Lines that name a file which is not there, and the file.
MISSING = [
    ("bts", BTS, swap("rgb_00001.jpg", "rgb_00077.jpg"), "rgb_00077.jpg"),
    ("bts", BTS, swap("sync_depth_00001.png", "sync_depth_00077.png"), "sync_depth_00077.png"),
    ("marigold", MARIGOLD, swap("/rgb_0006", "/rgb_0009"), "rgb_0009.png"),
    ("hypersim", SPLIT, add("ai_001_001,cam_00,99,True,,train", 0), "frame.0099"),
    ("ibims_png", NAMES, add("corridor_01"), "corridor_01"),
]


@pytest.mark.parametrize(("name", "pattern", "act", "words"), FAULTS, ids=lambda v: v if isinstance(v, str) else "")
def test_list(layout, name, pattern, act, words):
    data = layout(name)
    file = data.file(pattern)
    act(file)
    (line,) = complaints(data.module())
    check_complaint(line, file.name, *words)


@pytest.mark.parametrize(("name", "pattern", "act", "missing"), MISSING)
def test_line_that_names_a_missing_file(layout, name, pattern, act, missing):
    """It is one frame's fault where frames are read one by one; training on a tree does not even begin."""
    data = layout(name)
    act(data.file(pattern))
    (line,) = complaints(data.module())
    check_complaint(line, missing, "is missing")
    if name != "ibims_png":
        with pytest.raises(FileNotFoundError) as caught:
            data.module().setup()
        check_complaint(str(caught.value), missing)


@pytest.mark.parametrize(
    ("content", "number"),
    [("frame.0000.tonemap.jpg\n", 1), ("scene_cam_00_final_preview\n", 1), ("ai_001_001\nhello\n", 2)],
)
def test_list_of_flagged_frames(layout, content, number):
    data = layout("hypersim")
    file = data.folder / "hypersim" / FLAGGED_FILE
    file.write_text(content)
    (line,) = complaints(data.module())
    check_complaint(line, FLAGGED_FILE, f"line {number} ")


def test_flagged_frame_of_a_scene_without_a_camera(layout):
    """Apple's list names no camera for two scenes that have one; a camera of the scene before is none of theirs."""
    data = layout("hypersim")
    lines = ["ai_009_009", "scene_cam_01_final_preview", "", "ai_001_001", "frame.0001.tonemap.jpg"]
    (data.folder / "hypersim" / FLAGGED_FILE).write_text("\n".join(lines))
    whole = layout("hypersim", "whole").module().splits
    assert len(data.module().splits.train) == len(whole.train) - 1


def test_split_without_a_frame(layout):
    data = layout("hypersim")
    file = data.file(SPLIT)
    file.write_text(file.read_text().replace(",True,", ",False,"))
    (line,) = complaints(data.module())
    check_complaint(line, str(data.folder / "hypersim"), "no frame")


@pytest.mark.parametrize(
    ("content", "words"), [("den_0001\nden_0009\n", ["den_0009"]), (b"den_0001\nden_\xe9\n", ["line 2 is not UTF-8"])]
)
def test_list_of_scenes(layout, content, words):
    data = layout("raw")
    (data.folder / "raw/scenes.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    (line,) = complaints(data.module(scenes_file="scenes.txt"))
    check_complaint(line, *words)


def test_written_split(layout):
    data = layout("fused")
    module, file = data.module(), data.folder / "split.csv"
    splits, content = module.splits, file.read_text()
    for act in (
        swap("index", "number"),
        swap("test", "other"),
        swap(",train\n", "\n"),
        swap("1,nyuv", "one,nyuv"),
        add("12", 0),
        swap("bedroom_0000", "bedroom_0001"),
    ):
        file.write_text(content)
        assert module.read_splits(module.reader) == splits
        act(file)
        with pytest.raises(ValueError, match="damaged") as caught:
            module.read_splits(module.reader)
        check_complaint(str(caught.value), "split.csv")
