"""`segdepth infer` on videos: frames, sizes, rates, one scale, flicker by hand, smoothing, and files that are none."""

import csv
import json
import os
import re
import struct
import threading
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from callbacks.pictures.colors import depth_picture
from experiments.__main__ import main
from experiments.inference import photo_run as command
from experiments.inference import video_work
from experiments.inference.ensemble import Ensemble
from experiments.inference.finished_frames import FinishedFrames
from experiments.inference.photo_choices import CameraChoice
from experiments.inference.predictor import Predictor
from experiments.inference.video_reader import look_at
from experiments.inference.video_work import FrameWork
from experiments.inference.video_writer import Scales, SideBySide
from lightning_modules.prediction import Prediction
from tests.helpers.commands import infer
from tests.helpers.stub_predictor import PROTOCOL, stub_view
from tests.helpers.tiny_method import TinyMethod


class ByCount(TinyMethod):
    """Depth of the whole image by how many images it has seen: the next of a list, again and again."""

    def __init__(self, depths):
        super().__init__(protocol=PROTOCOL)
        self.depths, self.seen = depths, 0

    def forward(self, batch):
        self.seen += 1
        return Prediction(depth=torch.full_like(batch["image"][:, :1], self.depths[(self.seen - 1) % len(self.depths)]))


class ByColor(TinyMethod):
    """Depth in metres by how bright a pixel is, from 1 to 5."""

    def forward(self, batch):
        return Prediction(depth=1 + 4 * batch["image"].mean(1, keepdim=True))


def predictor(method=None, size=(48, 64)):
    return Predictor(method or ByColor(protocol=PROTOCOL), stub_view(size, squeezed=True), device="cpu", source="stub")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a predictor that needs no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load", lambda *run, **options: predictor())
    return tmp_path


def texture(height=48, width=64, seed=0):
    """A picture with something to follow."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)[..., None].repeat(3, axis=2)


def film(path, frames, rate=20.0, codec="FFV1", backend=cv2.CAP_FFMPEG):
    """Write RGB frames without loss, unless asked to, and return the path."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return Path(path)


def read(path):
    """The frames of a video, RGB, and its rate."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    return frames, capture.get(cv2.CAP_PROP_FPS)


def record(name="film"):
    return json.loads(Path(f"out/{name}/video.json").read_text())


def stubbed(monkeypatch, depths):
    """Let depth be by count, from the first frame of the video itself on."""
    method = ByCount(depths)
    monkeypatch.setattr(command, "load", lambda *run, **options: predictor(method))
    return "--depth_range", "1", "5"  # so that no frames are looked at before


def test_frames_stand_beside_their_depth_at_their_size_and_rate(place, capsys):
    frames = [np.roll(texture(), 2 * step, axis=1) for step in range(7)]
    film("film.mkv", frames, rate=12.5)
    assert infer("film.mkv", "--depth_range", "1", "5") == 0
    assert sorted(os.listdir("out/film")) == ["flicker.csv", "side_by_side.mp4", "video.json"]
    made, rate = read("out/film/side_by_side.mp4")
    assert (len(made), rate) == (7, 12.5)
    shown = 1 + 4 * frames[3].mean(2) / 255
    assert np.abs(made[3][:48, :64].astype(int) - frames[3]).mean() < 12  # the codec loses some
    expected = depth_picture(shown, 1, 5)
    assert np.abs(made[3][:48, 64:128].astype(int) - expected).mean() < 20
    assert (made[3][:48, 128:] > 200).any()  # the bar and its marks
    assert record()["frames"] == 7
    assert record()["size"] == [48, 64]
    assert "film.mkv: colours from 1.00 to 5.00 m, as asked for" in capsys.readouterr().out


@pytest.mark.parametrize("rate", [0.5, 23.976, 59.94, 88.8889, 239.76, 656.33, 1000])
def test_rates_are_kept(place, rate):
    path = Path("film.mp4")
    side_by_side = SideBySide(path, rate, (48, 64), Scales((1, 5)))
    for _ in range(4):
        side_by_side.write(texture(), np.full((48, 64), 2, np.float32))
    side_by_side.close()
    frames, found = read(path)
    assert len(frames) == 4
    assert found == pytest.approx(rate, rel=1e-4)


def test_one_scale_for_the_whole_video(place, capsys):
    """A dark film that brightens: the scale is that of all of it, not of a frame."""
    frames = [np.full((48, 64, 3), value, np.uint8) for value in np.linspace(0, 255, 60).astype(int)]
    film("film.mkv", frames)
    assert infer("film.mkv") == 0
    low, high = record()["range"]
    assert low == pytest.approx(1, abs=0.2)
    assert high == pytest.approx(5, abs=0.2)
    assert "1st to 99th percentile of 24 frames spread over it" in capsys.readouterr().out
    made, _ = read("out/film/side_by_side.mp4")
    first, last = (made[number][20, 96].astype(int) for number in (0, -1))
    ends = depth_picture(np.array([[1.0, 5.0]]), 1, 5)[0].astype(int)
    assert np.abs(first - ends[0]).max() < 40
    assert np.abs(last - ends[1]).max() < 40


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (47, 64), (31, 301)])
def test_odd_sizes_keep_every_row_and_column(place, size):
    frame = texture(*size) // 4
    frame[-1], frame[:, -1] = 255, 255
    film("film.avi", [frame] * 3, rate=10, codec="MJPG", backend=cv2.CAP_OPENCV_MJPEG)
    assert infer("film.avi") == 0
    made, rate = read("out/film/side_by_side.mp4")
    assert rate == 10
    height, width = size
    assert record()["size"] == [height, width]
    assert made[0].shape[0] == height + height % 2
    assert made[0][:height, width - 1].mean() > 180
    assert made[0][height - 1, :width].mean() > 180
    assert made[0][: height - 2, : width - 2].mean() < 60
    shown = 1 + 4 * read("film.avi")[0][0].mean(2) / 255
    expected = depth_picture(shown, *record()["range"])
    assert np.abs(made[0][:height, width : 2 * width].astype(int) - expected).mean() < 40


def test_a_video_is_turned_as_its_file_says(place):
    """A phone's: the matrix in the track's header (ISO/IEC 14496-12, 8.3.2) turns it by 90 degrees clockwise."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:16, :24] = 255  # upper left
    content = bytearray(film("film.mp4", [frame] * 3, codec="mp4v").read_bytes())
    matrix, one = content.index(b"tkhd") + 44, 1 << 16
    assert struct.unpack_from(">9i", content, matrix) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, matrix, 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    Path("film.mp4").write_bytes(content)
    assert infer("film.mp4") == 0
    assert record()["size"] == [64, 48]
    made = read("out/film/side_by_side.mp4")[0][0]
    assert made[:20, 34:46].mean() > 200  # upper right
    assert made[:64, :30].mean() < 20


def test_a_still_video_has_no_flicker(place, monkeypatch, capsys):
    stubbed(monkeypatch, [2.0])
    film("film.mkv", [texture()] * 5)
    assert infer("film.mkv", "--depth_range", "1", "5") == 0
    assert record()["flicker"] == {"flicker": 0.0, "still": 1.0, "change": 0.0, "followed": 1.0}
    assert "flicker 0.00 %, the mean change of depth from frame to frame where nothing moves (100 %" in (
        capsys.readouterr().out.replace("\n", " ")
    )


def test_an_alternation_has_the_flicker_of_its_two_depths(place, monkeypatch):
    """From 2 m to 3 m and back: 1 m of 2.5 m each time."""
    options = stubbed(monkeypatch, [2.0, 3.0])
    film("film.mkv", [texture()] * 6, rate=10)
    assert infer("film.mkv", *options) == 0
    assert record()["flicker"]["flicker"] == pytest.approx(0.4)
    assert record()["flicker"]["change"] == pytest.approx(0.4)
    rows = list(csv.DictReader(Path("out/film/flicker.csv").read_text().splitlines()))
    assert [row["frame"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["seconds"] for row in rows] == ["0.100", "0.200", "0.300", "0.400", "0.500"]
    assert all(float(row["flicker"]) == pytest.approx(0.4) for row in rows)


def test_only_what_stands_still_flickers(place):
    """The left half stands still, the right half moves by three pixels a frame, and depth goes with the colour."""
    still, moving = texture(64, 64), texture(64, 64, seed=1)
    film("film.mkv", [np.hstack([still, np.roll(moving, 3 * step, axis=1)]) for step in range(6)])
    assert infer("film.mkv") == 0
    found = record()["flicker"]
    assert 0.35 < found["still"] < 0.6
    assert found["flicker"] < 0.01
    assert found["followed"] > found["still"] + 0.2
    assert found["change"] < 0.06  # along the flow; in place it is 0.2


def test_smoothing_is_exponential_and_the_flicker_before_it_is_kept(place, monkeypatch, capsys):
    options = stubbed(monkeypatch, [2.0, 3.0])
    shown = []
    add = video_work.SideBySide.write
    monkeypatch.setattr(video_work.SideBySide, "write", lambda self, frame, depth: shown.append(depth) or add(
        self, frame, depth))  # fmt: skip
    film("film.mkv", [texture()] * 5)
    assert infer("film.mkv", *options, "--smooth", "0.75") == 0
    expected, depths = [2.0], [3.0, 2.0, 3.0, 2.0]
    for depth in depths:
        expected.append(0.75 * expected[-1] + 0.25 * depth)
    for depth, value in zip(shown, expected, strict=True):
        np.testing.assert_allclose(depth, value, rtol=1e-5)
    pairs = [abs(a - b) / ((a + b) / 2) for a, b in pairwise(expected)]
    assert record()["flicker"]["flicker"] == pytest.approx(np.mean(pairs), rel=1e-4)
    assert record()["flicker_before_smoothing"]["flicker"] == pytest.approx(0.4)
    assert "before smoothing: flicker 40.00 %" in capsys.readouterr().out


def test_smoothing_goes_along_the_flow(place):
    """A texture that moves by five pixels a frame, with depth by colour: smoothing in place would blur it to grey."""
    wide = texture(64, 160)
    frames = [wide[:, 5 * step : 5 * step + 96] for step in range(8)]
    film("film.mkv", frames)
    assert infer("film.mkv") == 0
    before = record()["flicker"]["change"]
    assert infer("film.mkv", "--smooth", "0.8", "--overwrite") == 0
    sharp, _ = read("out/film/side_by_side.mp4")
    assert record()["flicker"]["change"] < before
    low, high = record()["range"]
    expected = depth_picture(1 + 4 * frames[-1].mean(2) / 255, low, high).astype(int)
    in_place = depth_picture(1 + 4 * np.mean(frames[-4:], axis=0).mean(2) / 255, low, high).astype(int)
    inner = np.s_[8:-8, 8:60]
    shown = sharp[-1][:64, 96:192].astype(int)
    error, blurred = (np.abs(one[inner] - expected[inner]).mean() for one in (shown, in_place))
    assert error < 0.6 * blurred


def test_what_is_finished_stays_and_other_options_replace_nothing(place, capsys):
    film("film.mkv", [texture()] * 3)
    film("second.mkv", [texture()] * 3)
    assert infer("film.mkv") == 0
    before = {path: path.read_bytes() for path in Path("out/film").iterdir()}
    capsys.readouterr()
    assert infer("film.mkv", "second.mkv") == 0
    assert "1 of 2 videos are finished in out already, and stay as they are" in capsys.readouterr().out
    assert infer("film.mkv", "--smooth", "0.5") == 1
    assert "film.mkv: out/film was made by another run, or with other options" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("out/film").iterdir()} == before
    assert infer("film.mkv", "--smooth", "0.5", "--overwrite") == 0
    assert record()["settings"]["smooth"] == 0.5


def test_photos_and_videos_of_one_name_have_folders_of_their_own(place, capsys):
    cv2.imwrite("film.png", texture())
    film("film.mkv", [texture()] * 3)
    assert infer("film.mkv", "film.png") == 0
    assert Path("out/film/photo.json").is_file()
    assert Path("out/film_mkv/video.json").is_file()
    before = {path: path.read_bytes() for path in Path("out").rglob("*.json")}
    assert infer("film.mkv", "film.png") == 0
    assert {path: path.read_bytes() for path in Path("out").rglob("*.json")} == before


def test_of_a_video_that_was_cut_off_what_can_be_read_is_kept(place, capsys):
    whole = film("whole.mkv", [texture(seed=step) for step in range(20)]).read_bytes()
    Path("film.mkv").write_bytes(whole[: len(whole) // 2])
    assert infer("film.mkv") == 0
    made, _ = read("out/film/side_by_side.mp4")
    assert 5 < len(made) < 15
    said = f"cut off or damaged: {len(made)} of 20 frames"
    assert f"film.mkv: {said}" in capsys.readouterr().out
    assert record()["remarks"][0].startswith(said)
    assert record()["frames"] == len(made)


def playlist():
    film("film.mkv", [texture()] * 3)
    Path("list.mp4").write_text("ffconcat version 1.0\nfile film.mkv\n")
    return "list.mp4"


def written(name, content):
    Path(name).write_bytes(content)
    return name


BROKEN = {
    "text": (lambda: written("a.mp4", b"hello"), "a.mp4: truncated, or not a video (5 bytes)"),
    "empty": (lambda: written("a.mov", b""), "a.mov: truncated: it has no content"),
    "playlist": (playlist, "list.mp4: truncated, or not a video"),
    "mp4_without_its_end": (
        lambda: written("a.mp4", film("b.mp4", [texture()] * 9, codec="mp4v").read_bytes()[:-600]), "not a video",
    ),
    "folder": (lambda: os.mkdir("a.mp4") or "a.mp4", "has no photos"),
    "tiny": (
        lambda: film("a.avi", [texture(4, 6)] * 2, codec="MJPG", backend=cv2.CAP_OPENCV_MJPEG), "4x6 pixels: too small",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_video_is_said_in_one_line(place, capfd, name):
    make, said = BROKEN[name]
    assert infer(make()) in (1, 2)
    error = capfd.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) <= 2
    assert not list(Path("out").glob("*"))


def test_others_are_made_though_one_is_broken(place, capsys):
    film("good.mkv", [texture()] * 3)
    written("bad.mp4", b"hello")
    cv2.imwrite("photo.png", texture())
    assert infer("bad.mp4", "good.mkv", "photo.png") == 1
    assert "nothing was made of 1 of 3 files:" in capsys.readouterr().err
    assert sorted(os.listdir("out")) == ["good", "photo"]


def test_a_method_without_depth_says_so_and_leaves_nothing(place, monkeypatch, capsys):
    class Silent(TinyMethod):
        def forward(self, batch):
            return Prediction(semantics=batch["image"])

    monkeypatch.setattr(command, "load", lambda *run, **options: predictor(Silent(protocol=PROTOCOL)))
    film("film.mkv", [texture()] * 3)
    assert infer("film.mkv") == 1
    assert "film.mkv: the method predicts no depth" in capsys.readouterr().err
    assert os.listdir("out") == []


def test_an_interrupted_video_is_resumed_and_the_same(place, monkeypatch, capsys):
    """Frames that were predicted are not predicted again; all else is made anew."""
    film("film.mkv", [texture(seed=step) for step in range(8)])
    options = ["--smooth", "0.5", "--confidence"]
    assert infer("film.mkv", *options) == 0
    expected = {path.name: path.read_bytes() for path in Path("out/film").iterdir()}
    write = video_work.SideBySide.write

    def stop(self, frame, *maps):
        if self.frames == 3:
            raise KeyboardInterrupt
        write(self, frame, *maps)

    monkeypatch.setattr(video_work.SideBySide, "write", stop)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["infer", "run", "film.mkv", "--output", "again", *options])
    monkeypatch.setattr(video_work.SideBySide, "write", write)
    assert os.listdir("again") == [".film.frames"]
    capsys.readouterr()
    calls, forward = [], ByColor.forward
    monkeypatch.setattr(ByColor, "forward", lambda self, batch: calls.append(1) or forward(self, batch))
    assert infer("film.mkv", *options, output="again") == 0
    done = int(re.search(r"film\.mkv: resumed: (\d) of 8 frames were predicted before", capsys.readouterr().out)[1])
    assert done >= 4
    assert len(calls) == 2 * (8 - done)  # of each frame and its mirror; colours were chosen before
    assert os.listdir("again") == ["film"]
    for path in Path("again/film").iterdir():
        assert path.read_bytes() == expected[path.name], path


def test_frames_of_another_run_or_a_changed_video_are_not_resumed(tmp_path):
    kept = Prediction(depth=torch.rand(1, 1, 3, 4), covered=torch.rand(1, 1, 3, 4) > 0.5)
    finished = FinishedFrames(tmp_path / "frames", {"weights": "a"})
    finished.write(5, [[kept, Prediction(depth=kept.depth * 2)], [kept, kept]])
    again = FinishedFrames(tmp_path / "frames", {"weights": "a"})
    assert (again.count, again.read(4)) == (1, None)
    (first, second), (third, _) = again.read(5)
    for read in (first, third):
        assert torch.equal(read.depth, kept.depth)
        assert torch.equal(read.covered, kept.covered)
    assert torch.equal(second.depth, kept.depth * 2)
    assert second.covered is None
    (tmp_path / "frames/000005.npz").write_bytes(b"damaged")
    assert again.read(5) is None
    assert FinishedFrames(tmp_path / "frames", {"weights": "b"}).count == 0


def test_uncertainty_stands_beside_depth_with_its_own_scale(place, monkeypatch):
    """Half the difference of the two predictions, of which the mirrored image gets one metre more on its left."""

    class Lopsided(TinyMethod):
        def forward(self, batch):
            return Prediction(depth=2 + torch.linspace(0, 1, 64).expand_as(batch["image"][:, :1]))

    monkeypatch.setattr(command, "load", lambda *run, **options: predictor(Lopsided(protocol=PROTOCOL)))
    film("film.mkv", [texture(seed=step) for step in range(4)])
    assert infer("film.mkv", "--confidence", "--frames", "npy", "png16") == 0
    (frame, *_), _ = read("out/film/side_by_side.mp4")
    bars = (frame.shape[1] - 3 * 64) // 2
    shown = frame[:, 128 + bars : 192 + bars].astype(float).sum(-1)
    assert shown[:, 30:34].mean() + 150 < min(shown[:, :4].mean(), shown[:, -4:].mean())  # dark is sure
    expected = np.abs(np.linspace(0, 1, 64) - np.linspace(1, 0, 64)) / 2
    for number in range(4):
        unsure = np.load(f"out/film/uncertainty/{number:06d}.npy")
        np.testing.assert_allclose(unsure, np.broadcast_to(expected, (48, 64)), atol=1e-5)
        depth = cv2.imread(f"out/film/depth/{number:06d}.png", cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(depth, 2500, atol=1)
    assert record()["uncertainty_range"][1] == pytest.approx(np.percentile(expected, 99), abs=0.01)
    assert record()["files"] == ["depth", "flicker.csv", "side_by_side.mp4", "uncertainty"]


def test_files_of_frames_hold_what_the_video_shows(place):
    film("film.mkv", [texture(seed=step) for step in range(3)])
    assert infer("film.mkv", "--frames", "npy", "--smooth", "0.5") == 0
    smoothed = [np.load(path) for path in sorted(Path("out/film/depth").iterdir())]
    assert infer("film.mkv", "--frames", "npy", "--overwrite") == 0
    plain = [np.load(path) for path in sorted(Path("out/film/depth").iterdir())]
    assert len(smoothed) == len(plain) == 3
    assert np.array_equal(smoothed[0], plain[0])
    assert not np.array_equal(smoothed[2], plain[2])
    assert infer("film.mkv", "--overwrite") == 0
    assert sorted(os.listdir("out/film")) == ["flicker.csv", "side_by_side.mp4", "video.json"]


def test_videos_in_a_folder_are_found_as_photos_are(place):
    Path("mine/below").mkdir(parents=True)
    film("mine/below/film.MKV", [texture()] * 3)
    cv2.imwrite("mine/photo.png", texture())
    Path("mine/program.ts").write_text("const x = 1;")
    assert infer("mine") == 0
    assert sorted(os.listdir("out")) == ["film", "photo"]


def test_a_full_disk_is_noticed(place, monkeypatch, capsys):
    """OpenCV says nothing of frames that it could not write."""
    write = video_work.SideBySide.write

    def lose(self, frame, depth):
        write(self, frame, depth) if self.frames < 2 else setattr(self, "frames", self.frames + 1)

    monkeypatch.setattr(video_work.SideBySide, "write", lose)
    film("film.mkv", [texture()] * 5)
    assert infer("film.mkv") != 0
    assert "side_by_side.mp4: holds 2 of 5 frames" in capsys.readouterr().err
    assert os.listdir("out") == []


def test_one_frame_alone_has_no_flicker(place, capsys):
    film("film.mkv", [texture()])
    assert infer("film.mkv") == 0
    assert record()["flicker"] == {"flicker": None, "still": None, "change": None, "followed": None}
    assert "one frame alone" in capsys.readouterr().out


def test_frames_are_streamed(place):
    """However long a video is, a handful of its frames is in memory."""
    film("film.mkv", [texture(seed=step) for step in range(60)])
    waiting, most, lock = 0, 0, threading.Lock()

    def counted(frames):
        nonlocal waiting, most
        for frame in frames:
            with lock:
                waiting += 1
                most = max(most, waiting)
            yield frame

    def use(result):
        nonlocal waiting
        with lock:
            waiting -= 1

    work = FrameWork(Ensemble([predictor()]), 1, CameraChoice())
    assert sum(1 for _ in work.run(counted(look_at(Path("film.mkv")).read()), use)) == 60
    assert most <= 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--depth_range", "3", "1"], "--depth_range 3 1: need two ascending"),
        (["--depth_range", "3"], "--depth_range 3: need two ascending"),
        (["--smooth", "1"], "--smooth 1: need a share"),
        (["--known", "3,4=2"], "film.mkv is a video; name a photo"),
    ],
)
def test_options_that_make_no_sense(place, capsys, options, said):
    film("film.mkv", [texture()] * 2)
    assert infer("film.mkv", *options) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_cameras_of_frames_and_means_over_the_mirror(place, capsys):
    film("film.mkv", [texture()] * 2)
    assert infer("film.mkv", "--fov", "70", "--confidence") == 0
    assert record()["camera"]["source"] == "--fov, 70 degrees across the width"
    assert "depth is the mean of the photo's and the mirrored photo's" in record()["scale"]
