"""iBims-1 from small files in the real format, MATLAB and PNG."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from datamodules import IBimsDataModule
from datamodules.ibims.ibims_reader import IBimsReader

HEIGHT, WIDTH = 24, 32
SIZE = (HEIGHT, WIDTH)

#: As MATLAB writes it: transposed, principal point counted from 1.
CALIBRATION = np.array([[300.0, 0, 0], [0, 310.0, 0], [17.5, 13.0, 1]])

#: Unit normals in the authors' frame (right, forward, up), d, and columns that repeat the plane in the camera's frame.
WALL = [0.6, -0.8, 0.0]
FLOOR = [0.0, 0.0, 1.0]


def row(normal, d):
    right, forward, up = normal
    return [right, -up, forward, d, *normal]


def fields(seed=0):
    generator = np.random.default_rng(seed)
    wall, floor = np.zeros((2, *SIZE), np.uint8)
    wall[:8, :10], wall[:8, 10:20], floor[16:] = 1, 2, 1
    return {
        "rgb": generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "depth": generator.uniform(1, 9, SIZE),
        "edges": (generator.uniform(size=SIZE) < 0.1).astype(np.uint8),
        "calib": CALIBRATION,
        "mask_invalid": np.ones(SIZE, np.uint8),
        "mask_transp": np.ones(SIZE, np.uint8),
        "mask_wall": wall,
        "mask_wall_paras": np.array([row(WALL, 2.5), row(WALL, 4.0)]),
        "mask_table": np.zeros(SIZE, np.uint8),
        "mask_table_paras": np.empty((0, 0)),
        "mask_floor": floor,
        "mask_floor_paras": np.array([row(FLOOR, 1.5)]),
    }


def write_mat(root, name="corridor_01", **changed):
    """One MATLAB file; a field changed to None is left out."""
    folder = root / "ibims1_core_mat"
    folder.mkdir(parents=True, exist_ok=True)
    data = {key: value for key, value in {**fields(), **changed}.items() if value is not None}
    savemat(folder / f"{name}.mat", {"data": data})
    return folder / f"{name}.mat"


def write_png(root, name="corridor_01", *, folders=("edges", "mask_wall", "mask_table", "mask_floor"), **changed):
    content = {**fields(), **changed}
    maps = {key: content[key] for key in ("mask_invalid", "mask_transp", *folders)}
    maps |= {"rgb": content["rgb"][..., ::-1], "depth": np.round(content["depth"] * 65535 / 50).astype(np.uint16)}
    for key, value in maps.items():
        folder = root / "ibims1_core_raw" / key
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{name}.png"), value)
    (root / "ibims1_core_raw" / "calib").mkdir(exist_ok=True)
    (root / "ibims1_core_raw" / "calib" / f"{name}.txt").write_text("300.0,310.0,17.5,13.0\n")


def reader(root, **options):
    return IBimsReader(root, **{"min_depth": 0.1, "max_depth": 50.0, **options})


def test_mat_frame_holds_what_the_file_does(tmp_path):
    write_mat(tmp_path)
    frames = reader(tmp_path)
    frame, expected = frames.read(0), fields()
    assert frames.provides == {"depth", "occlusion", "planes", "plane_parameters", "plane_kinds"}
    assert frames.provides == {*frame.maps, *frame.facts}
    assert frames.size == frame.size == SIZE
    np.testing.assert_array_equal(frame.image.permute(1, 2, 0).numpy(), expected["rgb"])
    np.testing.assert_array_equal(frame.maps["depth"][0].numpy(), expected["depth"].astype(np.float32))
    assert frame.maps["occlusion"].dtype == torch.bool
    np.testing.assert_array_equal(frame.maps["occlusion"][0].numpy(), expected["edges"] == 1)
    assert (frame.scene, frame.frame, frame.index) == ("corridor", 1, 0)
    assert "corridor_01.mat" in frames.source(0)


def test_camera_is_read_either_way_and_counts_from_0(tmp_path):
    expected = torch.tensor([[300.0, 0, 16.5], [0, 310.0, 12.0], [0, 0, 1]])
    for number, calibration in enumerate((CALIBRATION, CALIBRATION.T)):
        write_mat(tmp_path / str(number), calib=calibration)
        torch.testing.assert_close(reader(tmp_path / str(number)).read(0).intrinsics, expected)
    write_png(tmp_path)
    torch.testing.assert_close(reader(tmp_path).read(0).intrinsics, expected)


def test_planes_are_counted_over_the_kinds(tmp_path):
    write_mat(tmp_path)
    frame = reader(tmp_path).read(0)
    planes, kinds = frame.maps["planes"], frame.facts["plane_kinds"]
    assert planes.dtype == kinds.dtype == torch.int64
    assert kinds.tolist() == [1, 1, 3] + [0] * 29
    assert planes[:8, :10].unique().tolist() == [1]
    assert planes[:8, 10:20].unique().tolist() == [2]
    assert planes[16:].unique().tolist() == [3]
    assert int((planes == 0).sum()) == HEIGHT * WIDTH - 8 * 20 - 8 * WIDTH
    parameters = frame.facts["plane_parameters"]
    assert parameters.shape == (32, 4)
    # (right, forward, up) to the camera's (right, down, forward)
    torch.testing.assert_close(
        parameters[:3], torch.tensor([[0.6, 0, -0.8, 2.5], [0.6, 0, -0.8, 4.0], [0, -1.0, 0, 1.5]])
    )
    assert parameters[3:].isnan().all()


def test_plane_equations_hold_on_a_rendered_wall(tmp_path):
    """Points of a wall that is drawn from its equation satisfy what is read."""
    a, b, c, d = 0.6, 0.0, 0.8, -3.0
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    right, down = (x - 16.5) / 300, (y - 12.0) / 310
    depth = -d / (a * right + b * down + c)
    write_mat(
        tmp_path,
        depth=depth,
        mask_wall=np.ones(SIZE, np.uint8),
        mask_wall_paras=np.array([[a, b, c, d, a, c, -b]]),
        mask_floor_paras=np.empty((0, 0)),
        mask_floor=np.zeros(SIZE, np.uint8),
    )
    frame = reader(tmp_path).read(0)
    pixels = torch.from_numpy(np.stack([x, y, np.ones_like(x)]).reshape(3, -1)).float()
    points = frame.intrinsics.inverse() @ pixels * frame.maps["depth"].flatten()
    plane = frame.facts["plane_parameters"][0]
    assert (plane[:3] @ points + plane[3]).abs().max() < 1e-5


def test_distance_of_a_plane_is_unknown_where_columns_differ(tmp_path):
    write_mat(tmp_path, mask_floor_paras=np.array([[9.0, 9, 9, 9, *FLOOR]]))
    parameters = reader(tmp_path).read(0).facts["plane_parameters"]
    torch.testing.assert_close(parameters[2, :3], torch.tensor([0.0, -1.0, 0.0]))
    assert parameters[2, 3].isnan()


def test_planes_without_parameters(tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[0], mask[1] = 3, 7
    write_mat(tmp_path, mask_table=mask)  # its parameters are empty
    frame = reader(tmp_path).read(0)
    assert frame.facts["plane_kinds"].tolist() == [1, 1, 2, 2, 3] + [0] * 27
    assert frame.maps["planes"][0].unique().tolist() == [3]
    assert frame.maps["planes"][1].unique().tolist() == [4]
    assert frame.maps["planes"][16:].unique().tolist() == [5]
    assert frame.facts["plane_parameters"][2:4].isnan().all()
    assert frame.facts["plane_parameters"][4].isfinite().all()


def test_no_plane_at_all(tmp_path):
    empty = {f"mask_{kind}": np.zeros(SIZE, np.uint8) for kind in ("wall", "floor")}
    write_mat(tmp_path, **empty, mask_wall_paras=np.empty((0, 0)), mask_floor_paras=np.empty((0, 0)))
    frame = reader(tmp_path).read(0)
    assert not frame.maps["planes"].any()
    assert not frame.facts["plane_kinds"].any()
    assert frame.facts["plane_parameters"].isnan().all()


def test_a_mask_without_background(tmp_path):
    write_mat(tmp_path, mask_table=np.full(SIZE, 255, np.uint8))
    assert reader(tmp_path).read(0).facts["plane_kinds"].tolist()[:5] == [1, 1, 2, 3, 0]


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float64, np.float32])
def test_types_of_masks_and_depth(tmp_path, dtype):
    content = fields()
    invalid, transparent = np.ones((2, *SIZE))
    invalid[0], transparent[:, 0], content["depth"][5] = 0, 0, 0
    write_mat(
        tmp_path,
        depth=content["depth"].astype(np.float32 if dtype == np.float32 else np.float64),
        edges=content["edges"].astype(dtype),
        mask_invalid=invalid.astype(dtype),
        mask_transp=transparent.astype(dtype),
        mask_floor=content["mask_floor"].astype(dtype),
    )
    frame = reader(tmp_path).read(0)
    expected = np.where((invalid > 0) & (transparent > 0), content["depth"], 0)
    np.testing.assert_allclose(frame.maps["depth"][0].numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(frame.maps["occlusion"][0].numpy(), content["edges"] > 0)
    assert frame.maps["planes"][16:].unique().tolist() == [3]


def test_png_agrees_with_mat(tmp_path):
    write_mat(tmp_path)
    write_png(tmp_path)
    mat, png = reader(tmp_path), reader(tmp_path, layout="png")
    assert (mat.layout, png.layout) == ("mat", "png")
    ours, theirs = png.read(0), mat.read(0)
    torch.testing.assert_close(ours.image, theirs.image)
    torch.testing.assert_close(ours.maps["depth"], theirs.maps["depth"], rtol=0, atol=25 / 65535 + 1e-5)
    for key in ("occlusion", "planes"):
        torch.testing.assert_close(ours.maps[key], theirs.maps[key])
    torch.testing.assert_close(ours.facts["plane_kinds"], theirs.facts["plane_kinds"])
    assert ours.facts["plane_parameters"].isnan().all()
    assert mat.identity != png.identity


def test_png_provides_what_its_folders_hold(tmp_path):
    write_png(tmp_path, folders=())
    assert reader(tmp_path).provides == {"depth"} == set(reader(tmp_path).read(0).maps)
    write_png(tmp_path, folders=("mask_floor",))
    frames = reader(tmp_path)
    assert frames.provides == {"depth", "planes", "plane_parameters", "plane_kinds"}
    assert frames.read(0).facts["plane_kinds"].tolist() == [3] + [0] * 31


def test_one_bit_masks(tmp_path):
    """1-bit PNG decodes to 0 and 255."""
    mask = np.ones(SIZE, np.uint8)
    mask[3] = 0
    write_png(tmp_path, folders=())
    path = tmp_path / "ibims1_core_raw" / "mask_transp" / "corridor_01.png"
    cv2.imwrite(str(path), mask * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    depth = reader(tmp_path).read(0).maps["depth"][0]
    np.testing.assert_array_equal((depth > 0).numpy(), mask > 0)


def test_frames_follow_the_list(tmp_path):
    for name in ("corridor_01", "office_03", "meeting_room_12"):
        write_mat(tmp_path, name)
    assert list(reader(tmp_path).scenes) == ["corridor", "meeting_room", "office"]
    (tmp_path / "imagelist.txt").write_text("office_03\ncorridor_01\n")
    frames = reader(tmp_path)
    assert list(frames.scenes) == ["office", "corridor"]
    assert (frames.read(0).frame, frames.read(1).frame, frames.read(1).index) == (3, 1, 1)
    copied = pickle.loads(pickle.dumps(frames))
    assert (copied.identity, copied.read(1).scene) == (frames.identity, "corridor")


@pytest.mark.parametrize("field", ["rgb", "depth", "edges", "calib", "mask_invalid", "mask_transp", "mask_floor"])
def test_missing_field_is_named(tmp_path, field):
    write_mat(tmp_path, "corridor_01")
    write_mat(tmp_path, "corridor_02", **{field: None})
    with pytest.raises(ValueError, match=rf"corridor_02\.mat: field `data\.{field}` is missing"):
        reader(tmp_path).read(1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depth": np.ones((5, 5))}, "`depth` is"),
        ({"edges": np.ones((5, 5))}, "`edges` is"),
        ({"rgb": np.ones(SIZE, np.uint8)}, "data.rgb"),
        ({"rgb": np.ones((5, 5, 3), np.uint8)}, r"the image is \(5, 5\)"),
        ({"rgb": np.ones((*SIZE, 3))}, "data.rgb"),
        ({"depth": "deep"}, "not numeric"),
        ({"depth": np.full(SIZE, np.nan)}, "NaN"),
        ({"depth": np.zeros(SIZE)}, "no depth"),
        ({"mask_invalid": np.zeros(SIZE)}, "no depth"),
        ({"calib": np.ones(4)}, "calib"),
        ({"calib": np.zeros((3, 3))}, "calib"),
        ({"mask_wall_paras": np.ones((2, 3))}, "mask_wall_paras"),
        ({"mask_wall_paras": np.ones((40, 7))}, "40|41"),
    ],
)
def test_wrong_field_is_named(tmp_path, changed, message):
    write_mat(tmp_path, "corridor_01")
    write_mat(tmp_path, "corridor_02", **changed)
    with pytest.raises(ValueError, match=message) as caught:
        reader(tmp_path).read(1)
    assert "corridor_02.mat" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(tmp_path):
    path = write_mat(tmp_path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"garbage" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"corridor_01\.mat: truncated"):
            reader(tmp_path)
    for other in ({"daten": fields()}, {"data": np.ones(3)}):
        savemat(path, other)
        with pytest.raises(ValueError, match="key `data` is missing"):
            reader(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="ibims1_core_mat/ or ibims1_core_raw/ is missing"):
        reader(tmp_path)
    (tmp_path / "ibims1_core_mat").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no `\*\.mat`"):
        reader(tmp_path)
    with pytest.raises(FileNotFoundError, match="ibims1_core_raw/ is missing"):
        reader(tmp_path, layout="png")
    write_mat(tmp_path)
    (tmp_path / "imagelist.txt").write_text("corridor_01\ncorridor_02\n")
    with pytest.raises(FileNotFoundError, match=r"corridor_02\.mat is missing"):
        reader(tmp_path).read(1)
    (tmp_path / "imagelist.txt").write_text("corridor\n")
    with pytest.raises(ValueError, match="'corridor' is not a frame's name"):
        reader(tmp_path)


def test_damaged_png_layout_is_named(tmp_path):
    write_png(tmp_path)
    folder = tmp_path / "ibims1_core_raw"
    frames = reader(tmp_path)
    (folder / "calib" / "corridor_01.txt").write_text("300,310\n")
    with pytest.raises(ValueError, match=r"corridor_01\.txt: holds '300,310'"):
        frames.read(0)
    write_png(tmp_path)
    cv2.imwrite(str(folder / "depth" / "corridor_01.png"), np.ones(SIZE, np.uint8))
    with pytest.raises(ValueError, match="depth is 16-bit"):
        frames.read(0)
    (folder / "mask_transp" / "corridor_01.png").unlink()
    with pytest.raises(FileNotFoundError, match="mask_transp"):
        frames.read(0)


def cut(content, height, width):
    """The fields of a smaller frame."""
    return {key: value[:height, :width] if value.shape[:2] == SIZE else value for key, value in content.items()}


@pytest.mark.parametrize("write", [write_mat, write_png])
def test_frames_of_several_sizes_are_tested_on(tmp_path, write):
    write(tmp_path, "attic_01")
    write(tmp_path, "attic_02", **cut(fields(1), 20, 32))
    write(tmp_path, "attic_03", **cut(fields(2), 24, 28))
    frames = reader(tmp_path)
    assert [frames.size_of(position) for position in range(3)] == [SIZE, (20, 32), (24, 28)]
    assert frames.size == (20, 28)
    assert [frames.read(position).size for position in range(3)] == [SIZE, (20, 32), (24, 28)]
    data = IBimsDataModule(str(tmp_path), eval_size=None, num_workers=0, eval_batch_size=2)
    data.setup("test")
    assert [tuple(batch["planes"].shape) for batch in data.test_dataloader()] == [
        (1, *SIZE), (1, 20, 32), (1, 24, 28)
    ]  # fmt: skip
    for batch in data.predict_dataloader():
        expected = cut(fields(int(batch["index"])), *batch["depth"].shape[-2:])["depth"]
        np.testing.assert_allclose(batch["depth"][0, 0].numpy(), expected, atol=50 / 65535)
