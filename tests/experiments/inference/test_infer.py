"""`segdepth infer` on photos: names, resuming, files, cameras, measured points."""

import json
import os
import shutil
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from experiments.inference import photo_run as command
from experiments.inference.cameras import centered
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.glb import glb_bytes, surface_of
from experiments.inference.photo_choices import FileChoice
from experiments.inference.photo_files import write_photo
from experiments.inference.pipeline import process
from tests.helpers.stub_predictor import pinhole_predictor, tiny_predictor, wave_wall


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a predictor that needs no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load", lambda *run, **options: tiny_predictor())
    return tmp_path


@pytest.fixture
def wall(place, monkeypatch):
    """The photo of a wall at 4 m with a focal length of 400 pixels, and a predictor that learned with one of 200."""
    monkeypatch.setattr(command, "load", lambda *run, **options: pinhole_predictor(200.0, (192, 256)))
    Image.fromarray(wave_wall(192, 256, 400.0, 4.0).permute(1, 2, 0).numpy()).save("wall.png")
    return "wall.png"


def infer(*arguments):
    main(["infer", "run", *map(str, arguments), "--output", "out"])


def photo(path, seed=0):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def contents(folder="out"):
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def metres(folder):
    return cv2.imread(f"out/{folder}/depth.png", cv2.IMREAD_UNCHANGED) / 1000


def test_what_is_finished_stays_and_the_rest_is_made(place, capsys):
    photo("photos/one.png")
    infer("photos")
    first = contents()
    assert {Path(path).name for path in first} == {"depth.png", "depth_colors.png", "boundaries.png", "photo.json"}
    photo("photos/two.png", seed=1)
    Path("out/one/mine.txt").write_text("kept")
    capsys.readouterr()
    infer("photos")
    output = capsys.readouterr().out
    assert "1 of 2 photos are finished in out already, and stay as they are" in output
    assert "out: two" in output
    assert {path: content for path, content in contents().items() if path in first} == first
    infer("photos")
    assert "2 of 2" in capsys.readouterr().out


def test_other_options_and_changed_photos_replace_nothing_unless_asked_to(place, capsys):
    photo("one.png")
    infer("one.png")
    first = contents()
    with pytest.raises(SystemExit, match="1"):
        infer("one.png", "--tiles", "2")
    assert "one.png: out/one was made by another run, or with other options" in capsys.readouterr().err
    photo("one.png", seed=5)
    with pytest.raises(SystemExit, match="1"):
        infer("one.png")
    assert "was made of another state of it" in capsys.readouterr().err
    assert contents() == first
    Path("out/one/mine.txt").write_text("kept")
    infer("one.png", "--overwrite", "--no_pictures", "--format", "npy")
    assert sorted(os.listdir("out/one")) == ["depth.npy", "mine.txt", "photo.json"]  # none of another depth
    assert Path("out/one/mine.txt").read_text() == "kept"


def test_photos_of_one_name_do_not_share_a_folder(place):
    names = ["a/IMG.jpg", "a/IMG.png", "b/img.jpg", "c/IMG.jpg", "d/c/IMG.jpg"]
    for seed, name in enumerate(names):
        photo(name, seed)
    os.mkdir("out")
    Path("out/IMG_jpg").write_text("somebody's file")
    infer(*names)
    folders = [path for path in Path("out").iterdir() if path.is_dir()]
    assert len(folders) == len({folder.name.casefold() for folder in folders}) == 5
    made = contents()
    sources = {json.loads((folder / "photo.json").read_text())["photo"]["path"] for folder in folders}
    assert sources == {str(place / name) for name in names}
    infer(*reversed(names))
    assert contents() == made


def test_an_interrupted_photo_leaves_nothing(place, monkeypatch):
    photo("one.png")
    monkeypatch.setattr("experiments.inference.photo_files.write_pictures", lambda *given: 1 / 0)
    with pytest.raises(SystemExit, match="2"):
        infer("one.png")
    assert os.listdir("out") == []


def test_formats_hold_the_same_depth(place):
    photo("one.png")
    infer("one.png", "--format", "png16", "npy", "exr", "--no_pictures")
    depth = np.load("out/one/depth.npy")
    assert depth.dtype == np.float32
    assert sorted(os.listdir("out/one")) == ["depth.exr", "depth.npy", "depth.png", "photo.json"]
    np.testing.assert_allclose(metres("one"), depth, atol=5.1e-4)
    openexr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
    with openexr.File("out/one/depth.exr") as file:
        np.testing.assert_array_equal(file.channels()["Z"].pixels, depth)


def test_depth_that_16_bits_cannot_hold(tmp_path):
    depth = np.array([[np.nan, -1.0, 0.0], [70.0, 65.535, 0.0014]], np.float32)
    image = np.zeros((2, 3, 3), np.uint8)
    camera = centered(3.0, (2, 3), "test")
    result = DepthPrediction(image, depth, (), None, (), None, camera, 1.0, "", False, (2, 3))
    write_photo(tmp_path / "one", result, FileChoice(pictures=False, cloud=True), "method", {})
    written = cv2.imread(str(tmp_path / "one" / "depth.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, [[0, 0, 0], [65535, 65535, 1]])


@pytest.mark.parametrize(
    ("flags", "factor", "said"),
    [
        ([], 1.0, "hold only for a camera like"),
        (["--intrinsics", "400,400,127.5,95.5"], 2.0, "depth times 2.000: focal length 400 px (--intrinsics)"),
        (["--fov", f"{2 * np.degrees(np.arctan(128 / 400)):.4f}"], 2.0, "(--fov, 35.4"),
        (["--known", "10,20=4.0"], 2.0, "by 1 measured point"),
        (["--known", "10,20=4.0", "--known", "200,100=4.1"], 2.025, "by 2 measured points"),
    ],
)
def test_metres_follow_the_camera_or_a_tape_measure(wall, capsys, flags, factor, said):
    infer(wall, *flags)
    assert metres("wall").mean() == pytest.approx(2.0 * factor, rel=0.03)
    assert said in " ".join(capsys.readouterr().out.split())
    assert json.loads(Path("out/wall/photo.json").read_text())["factor"] == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_tells_the_focal_length(wall, capsys, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # 400 pixels on a diagonal of 320 are 1.25 diagonals; that of 35 mm film is 43.27 mm
    exif.get_ifd(0x8769)[0xA405] = 54
    upright = Image.open(wall)
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose.ROTATE_90)
    stored.save("phone.jpg", exif=exif, quality=95)
    infer("phone.jpg")
    assert metres("phone").shape == (192, 256)
    assert metres("phone").mean() == pytest.approx(4.0, rel=0.03)
    assert "(EXIF, 54 mm on 35 mm film)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--fov", "60", "--intrinsics", "1,1,1,1"], "give one of them"),
        (["--fov", "200"], "--fov 200"),
        (["--intrinsics", "400,400,127"], "need FX,FY,CX,CY"),
        (["--intrinsics", "0,400,127,95"], "need FX,FY,CX,CY"),
        (["--known", "10,20"], "need X,Y=METRES"),
        (["--known", "10,20=-3"], "need X,Y=METRES"),
        (["--known", "1,2=3", "other.png"], "are of one photo"),
        (["--size", "30"], "--size 30"),
        (["--tiles", "0"], "--tiles"),
        (["--points", "none.csv"], "none.csv is missing"),
        (["--format", "bmp"], "--format"),
    ],
)
def test_options_that_make_no_sense(wall, capsys, flags, complaint):
    photo("other.png")
    with pytest.raises(SystemExit, match="2"):
        main(["infer", "run", wall, *[f for f in flags if f.endswith(".png")], "--output", "out",
              *[f for f in flags if not f.endswith(".png")]])  # fmt: skip
    assert complaint in capsys.readouterr().err


def test_a_point_outside_of_the_photo(wall, capsys):
    with pytest.raises(SystemExit, match="1"):
        infer(wall, "--known", "256,10=3")
    assert "256,10 lies outside of the photo, 256 wide and 192 high" in capsys.readouterr().err


def test_points_beside_a_tape_measure(wall, capsys):
    Path("points.csv").write_text("x,y,metres,name\n10,20,4.0,door\n100,50,,shelf\n200,150,5.0\n")
    infer(wall, "--intrinsics", "400,400,127.5,95.5", "--points", "points.csv", "--format", "npy")
    depth = np.load("out/wall/depth.npy")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    table = {line[0]: line for line in lines if line and line[0] in ("door", "shelf", "3", "mean")}
    found = depth[150, 200]
    assert table["door"][3] == f"{depth[20, 10]:.3f}"
    assert table["shelf"] == ["shelf", "100", "50", f"{depth[50, 100]:.3f}"]
    assert table["3"][3:] == [f"{found:.3f}", "5.000", f"{found - 5:+.3f}", f"{100 * (found - 5) / 5:+.1f}", "%"]
    mean = (abs(depth[20, 10] - 4) + abs(found - 5)) / 2
    assert table["mean"][4] == f"{mean:.3f}"
    rows = Path("out/wall/points.csv").read_text().splitlines()
    assert rows[0].startswith("point,x,y")
    assert len(rows) == 5
    infer(wall, "--intrinsics", "400,400,127.5,95.5", "--points", "points.csv", "--format", "npy")  # now it is finished
    output = capsys.readouterr().out
    assert "1 of 1 photos are finished" in output
    assert [line.split() for line in output.splitlines() if line.startswith("door")] == [table["door"]]


def test_scale_and_shift_by_three_points(place):
    predictor = tiny_predictor()
    photo("one.png")
    before = predictor.infer(Image.open("one.png")).depth
    points = [(5, 5), (30, 20), (55, 35)]
    known = [f"{x},{y}={1.5 * before[y, x] + 0.4:.6f}" for x, y in points]
    infer("one.png", "--format", "npy", "--known_fit", "scale_shift", *[w for k in known for w in ("--known", k)])
    np.testing.assert_allclose(np.load("out/one/depth.npy"), 1.5 * before + 0.4, rtol=1e-4)


def test_clouds_lie_where_the_camera_saw_them(wall):
    infer(wall, "--intrinsics", "400,400,127.5,95.5", "--cloud", "--format", "npy")
    depth = np.load("out/wall/depth.npy")
    vertices = np.frombuffer(
        Path("out/wall/cloud.ply").read_bytes().split(b"end_header\n", 1)[1], [("at", "<f4", 3), ("color", "u1", 3)]
    )
    assert len(vertices) == depth.size
    x = (np.arange(256) - 127.5) / 400 * depth[0]
    np.testing.assert_allclose(vertices["at"][:256, 0], x, atol=1e-3)
    np.testing.assert_allclose(vertices["at"][:, 2], -depth.ravel(), atol=1e-3)
    image = np.asarray(Image.open(wall))
    np.testing.assert_array_equal(vertices["color"], image.reshape(-1, 3))
    document, binary = read_glb(Path("out/wall/surface.glb").read_bytes())
    positions = accessor(document, binary, 0)
    np.testing.assert_allclose(positions, vertices["at"], atol=1e-3)


def read_glb(content):
    """The document and the buffer of a GLB file, by the layout of the specification."""
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(content[20 : 20 + size])
    binary_size, kind = struct.unpack_from("<I4s", content, 20 + size)
    assert kind == b"BIN\0"
    binary = content[28 + size :]
    assert len(binary) == binary_size
    assert document["buffers"][0]["byteLength"] <= binary_size
    return document, binary


def accessor(document, binary, number):
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    dtype = {5126: "<f4", 5121: "u1", 5125: "<u4"}[accessor["componentType"]]
    columns = {"VEC3": 3, "VEC4": 4, "SCALAR": 1}[accessor["type"]]
    values = np.frombuffer(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]], dtype)
    values = values.reshape(-1, columns)
    assert len(values) == accessor["count"]
    return values


def test_a_surface_has_gaps_where_depth_jumps():
    depth = np.full((6, 8), 2.0, np.float32)
    depth[:, 4:] = 3.0
    depth[0, 0] = np.nan
    image = np.full((6, 8, 3), 200, np.uint8)
    matrix = torch.tensor([[10.0, 0, 3.5], [0, 10, 2.5], [0, 0, 1]])
    document, binary = read_glb(glb_bytes(surface_of(depth, image, matrix, 1000)))
    positions, colors, triangles = (accessor(document, binary, number) for number in range(3))
    assert len(positions) == 47
    corners = positions[triangles.reshape(-1, 3)]
    # 5 x 7 squares, less those of one column that joins both depths, and the one without a corner
    assert len(corners) == 2 * (5 * 6 - 1)
    assert set(np.unique(corners[..., 2])) == {-2.0, -3.0}
    assert (np.ptp(corners[..., 2], axis=1) == 0).all()
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all()  # towards the camera
    assert document["accessors"][0]["min"] == positions.min(0).tolist()
    assert colors[0].tolist() == [147, 147, 147, 255]  # sRGB 200, in linear light


def test_segments_and_classes_have_pictures(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:60, :80]
    levels = (rows // 10 * 8 + columns // 10, rows // 20 * 4 + columns // 20)
    depth = 1 + np.where(columns < 40, 0, 2).astype(np.float32)
    names = tuple(f"class {i}" for i in range(1, 41))
    camera = centered(80.0, (60, 80), "test")
    result = DepthPrediction(image, depth, levels, rows // 20 + 1, names, depth / 4, camera, 1.0, "", False, (60, 80))
    write_photo(tmp_path / "a $b$ \\frac{", result, FileChoice(), "SHED", {})  # no formula
    (tmp_path / "a $b$ \\frac{").rename(tmp_path / "one")
    pictures = ["boundaries", "class_ids", "classes", "contours", "depth", "depth_colors", "segments"]
    assert sorted(path.stem for path in (tmp_path / "one").glob("*.png")) == pictures
    assert min(cv2.imread(str(path), -1).std() for path in (tmp_path / "one").glob("*.png")) > 0
    edges = cv2.imread(str(tmp_path / "one" / "boundaries.png"))
    green = np.flatnonzero(((edges == (60, 230, 40)).all(2)).mean(0) > 0.5)
    assert set(green) <= {38, 39, 40, 41}
    assert len(green) > 0
    write_photo(tmp_path / "two", replace(result, depth=None), FileChoice(pictures=False), "CAST", {})
    with np.load(tmp_path / "two" / "segments.npz") as file:
        np.testing.assert_array_equal(file["level1"], levels[1])


def test_reading_and_writing_go_on_while_the_network_works():
    """A fake network that waits as a GPU would: the whole takes as long as the network alone, and little memory."""
    alive, most, spent = set(), [], []
    lock = threading.Lock()

    def prepare(item):
        time.sleep(0.02)
        with lock:
            alive.add(item)
            most.append(len(alive))
        return item

    def forward(item):
        began = time.perf_counter()
        time.sleep(0.04)
        spent.append(time.perf_counter() - began)  # longer on a busy machine
        return item

    def finish(item, ready, output):
        time.sleep(0.02)
        with lock:
            alive.remove(item)
        return output * 10

    began = time.perf_counter()
    outcomes = list(process(range(40), prepare, forward, finish))
    seconds = time.perf_counter() - began
    assert [outcome.result for outcome in outcomes] == list(range(0, 400, 10))
    assert seconds < 1.15 * sum(spent) + 0.2  # one after the other, it would be twice as long
    assert max(most) <= 8


def test_an_error_that_is_nobodys_photo_ends_everything():
    done = []

    def finish(item, ready, output):
        done.append(item)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        list(process(range(1000), lambda item: item, lambda item: item, finish))
    assert len(done) < 20


def test_a_photo_that_vanishes_is_named(place, monkeypatch, capsys):
    photo("photos/a.png")
    photo("photos/b.png")
    find = command.find_places
    monkeypatch.setattr(
        command, "find_places", lambda *given, **options: [find(*given, **options), os.remove("photos/a.png")][0]
    )
    with pytest.raises(SystemExit, match="1"):
        infer("photos")
    assert "photos/a.png is missing" in capsys.readouterr().err
    assert os.listdir("out") == ["b"]
    shutil.rmtree("out")
