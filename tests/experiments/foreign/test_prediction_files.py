"""Predictions on disk: every format gives the map that was written, and a wrong file is one line."""

import json
import sys
import zipfile

import cv2
import h5py
import numpy as np
import pytest

from callbacks.records.prediction_writer import SQUEEZED_FILE
from experiments.foreign.prediction_files import PredictionFiles

#: Numbers of the test frames, not from the start of the data set and not in order.
FRAMES, TOTAL = [4, 7, 5], 8


@pytest.fixture
def depth():
    return np.random.default_rng(0).uniform(0.5, 9, (TOTAL, 6, 8)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def open_files(source, **options):
    return PredictionFiles(source, FRAMES, TOTAL, **options)


def complaint(source, index=4, **options):
    """The one line that opening or reading ends with."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        open_files(source, **options).read(index)
    (line,) = str(error.value).splitlines()
    assert str(source) in line
    return line


@pytest.mark.parametrize("name", ["0005", "5", "00005", "depth_0005", "frame5_pred"])
@pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (6, 8, 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npy(folder, depth, name, shape, dtype):
    np.save(folder / f"{name}.npy", depth[4].astype(dtype).reshape(shape))
    files = open_files(folder)
    assert files.missing == [7, 5]
    read = files.read(4)
    assert read.shape == (1, 6, 8)
    assert read.numpy().dtype == np.float32
    np.testing.assert_array_equal(read[0].numpy(), depth[4].astype(dtype).astype(np.float32))


def test_a_map_one_pixel_high(folder):
    np.save(folder / "5.npy", np.ones((1, 8, 1), np.float32))
    assert open_files(folder).read(4).shape == (1, 8, 1)


def test_npz(folder, depth):
    np.savez_compressed(folder / "0005.npz", anything=depth[4])
    np.savez(folder / "0006.npz", depth=depth[5], confidence=depth[0])
    np.testing.assert_array_equal(open_files(folder, key=None).read(4)[0].numpy(), depth[4])
    np.testing.assert_array_equal(open_files(folder, key="depth").read(5)[0].numpy(), depth[5])
    assert "several arrays (found: depth, confidence)" in complaint(folder, 5)
    assert "key `dpeth` is missing" in complaint(folder, 5, key="dpeth")


@pytest.mark.parametrize("scale", [1000.0, 256.0])
def test_png_and_its_holes(folder, depth, scale):
    steps = (depth[4] * scale).round().astype(np.uint16)
    steps[2, 3] = 0
    cv2.imwrite(str(folder / "0005.png"), steps)
    read = open_files(folder, scale=scale).read(4)[0].numpy()
    assert np.argwhere(np.isnan(read)).tolist() == [[2, 3]]
    assert np.nanmax(abs(read - depth[4])) <= 0.5 / scale + 1e-6


def test_inverse(folder, depth):
    inverse = 1 / depth[4].astype(np.float64)
    inverse[0, 0] = 0
    np.save(folder / "5.npy", inverse.astype(np.float32))
    cv2.imwrite(str(folder / "6.png"), (inverse * 30000).round().astype(np.uint16))
    floats = open_files(folder, inverse=True).read(4)[0].numpy()
    assert np.isposinf(floats[0, 0])
    np.testing.assert_allclose(floats.ravel()[1:], depth[4].ravel()[1:], rtol=1e-6)
    steps = open_files(folder, inverse=True, scale=30000).read(5)[0].numpy()
    assert np.isnan(steps[0, 0])
    np.testing.assert_allclose(steps.ravel()[1:], depth[4].ravel()[1:], rtol=1e-3)


class TestExr:
    @pytest.mark.parametrize("channels", ["Z", "RGB", "RGBA"])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_round_trip(self, folder, depth, channels, dtype):
        openexr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
        values = depth[4].astype(dtype)
        stored = values if channels == "Z" else np.stack([values] * 3 + [0 * values] * (len(channels) - 3), -1)
        header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
        with openexr.File(header, {channels: np.ascontiguousarray(stored)}) as file:
            file.write(str(folder / "0005.exr"))
        np.testing.assert_array_equal(open_files(folder).read(4)[0].numpy(), values.astype(np.float32))

    def test_a_colour_image(self, folder, depth):
        openexr = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
        with openexr.File({}, {"RGB": np.ascontiguousarray(np.moveaxis(depth[:3], 0, -1))}) as file:
            file.write(str(folder / "0005.exr"))
        assert "differ" in complaint(folder)

    def test_truncated(self, folder):
        pytest.importorskip("OpenEXR", reason="OpenEXR is not installed")
        (folder / "0005.exr").write_bytes(b"\x76\x2f\x31\x01\x02\x00\x00\x00")
        assert "truncated" in complaint(folder)

    def test_without_the_library(self, folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "OpenEXR", None)
        (folder / "0005.exr").write_bytes(b"\x76\x2f\x31\x01")
        assert "pip install OpenEXR" in complaint(folder)


class TestHdf5:
    @pytest.mark.parametrize("shape", [(3, 6, 8), (3, 1, 6, 8), (3, 6, 8, 1)])
    @pytest.mark.parametrize("suffix", ["h5", "hdf5"])
    def test_rows_of_the_test_frames(self, tmp_path, depth, shape, suffix):
        path = tmp_path / f"mine.{suffix}"
        with h5py.File(path, "w") as file:
            file["depth"] = depth[:3].reshape(shape)
        files = open_files(path)
        assert files.missing == []
        for row, index in enumerate(FRAMES):
            np.testing.assert_array_equal(files.read(index)[0].numpy(), depth[row])

    def test_rows_of_the_whole_set(self, tmp_path, depth):
        with h5py.File(tmp_path / "mine.h5", "w") as file:
            file["preds/depth"] = depth
            file["preds/confidence"] = depth * 0
        files = open_files(tmp_path / "mine.h5", key="preds/depth")
        for index in FRAMES:
            np.testing.assert_array_equal(files.read(index)[0].numpy(), depth[index])

    @pytest.mark.parametrize("key", [None, "preds"])
    def test_a_map_a_frame(self, tmp_path, depth, key):
        with h5py.File(tmp_path / "mine.h5", "w") as file:
            for index in FRAMES[:2]:
                file[f"{key or ''}/{index + 1:04d}"] = (depth[index] * 1000).round().astype(np.uint16)
        files = open_files(tmp_path / "mine.h5", key=key)
        assert files.missing == FRAMES[2:]
        for index in FRAMES[:2]:
            np.testing.assert_allclose(files.read(index)[0].numpy(), depth[index], atol=5.01e-4)

    def test_what_cannot_be_told_apart(self, tmp_path, depth):
        path = tmp_path / "mine.h5"
        with h5py.File(path, "w") as file:
            file["five"] = depth[:5]
        assert "(5, 6, 8), but the data set has 3 test frames and 8 in all" in complaint(path)
        assert "key `dpeth` is missing (found: five)" in complaint(path, key="dpeth")
        with h5py.File(path, "a") as file:
            file["more"] = depth[:3]
        assert "name the array with `--key`" in complaint(path)
        with h5py.File(path, "w") as file:
            file["5"] = file["0005"] = depth[4]
        assert "/0005 and /5 are of one frame" in complaint(path)

    def test_not_hdf5(self, tmp_path):
        (tmp_path / "mine.h5").write_bytes(b"no HDF5 at all")
        assert "truncated, or not an HDF5 file" in complaint(tmp_path / "mine.h5")
        assert "is missing" in complaint(tmp_path / "yours.h5")


@pytest.mark.parametrize("order", ["<", ">"])
def test_pfm(folder, depth, order):
    header = f"Pf\n8 6\n{'-' if order == '<' else ''}1.0\n".encode()
    (folder / "0005.pfm").write_bytes(header + depth[4][::-1].astype(f"{order}f4").tobytes())
    np.testing.assert_array_equal(open_files(folder).read(4)[0].numpy(), depth[4])
    (folder / "0005.pfm").write_bytes(header + b"\0" * 100)
    assert "truncated, or too long: 100 bytes for 6x8" in complaint(folder)
    (folder / "0005.pfm").write_bytes(header.replace(b"Pf", b"PF"))
    assert "colour image" in complaint(folder)
    (folder / "0005.pfm").write_bytes(b"")
    assert "truncated" in complaint(folder)


@pytest.mark.parametrize("suffix", ["tif", "tiff"])
def test_tiff(folder, depth, suffix):
    cv2.imwrite(str(folder / f"0005.{suffix}"), depth[4])
    cv2.imwrite(str(folder / f"0006.{suffix}"), (1000 * depth[5]).astype(np.uint16))
    files = open_files(folder)
    np.testing.assert_array_equal(files.read(4)[0].numpy(), depth[4])
    np.testing.assert_allclose(files.read(5)[0].numpy(), depth[5], atol=1.1e-3)
    path = folder / f"0005.{suffix}"
    path.write_bytes(path.read_bytes()[:60])
    assert "truncated" in complaint(folder)


@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 1, 6, 8), (3, 6, 8, 1)])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_one_array_of_all_maps(tmp_path, depth, suffix, shape):
    path, whole, odd = (tmp_path / f"{name}.{suffix}" for name in ("mine", "whole", "odd"))
    for place, maps in ((path, depth[:3].reshape(shape)), (whole, depth), (odd, depth[:5])):
        {"npy": np.save, "npz": np.savez_compressed}[suffix](place, maps)
    files = open_files(path)
    assert files.missing == []
    for row, index in enumerate(FRAMES):
        np.testing.assert_array_equal(files.read(index)[0].numpy(), depth[row])
    np.testing.assert_array_equal(open_files(whole).read(7)[0].numpy(), depth[7])
    assert "3 test frames and 8 in all" in complaint(odd)
    odd.write_bytes(b"no array")
    assert "truncated" in complaint(odd)


#: Scene and number in it of the test frames.
SCENES = {4: ("kitchen_0001", 0), 5: ("kitchen_0001", 1), 7: ("office_0002", 10_003)}


class TestFoldersOfScenes:
    def found(self, folder, depth, paths):
        for path, row in paths.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / path, depth[row])
        files = open_files(folder, names=lambda: SCENES)
        assert files.missing == []
        for index in FRAMES:
            np.testing.assert_array_equal(files.read(index)[0].numpy(), depth[index])

    def test_numbered_as_the_data_set(self, folder, depth):
        self.found(folder, depth, {"kitchen_0001/0005.npy": 4, "kitchen_0001/0006.npy": 5, "office_0002/0008.npy": 7})

    def test_numbered_in_the_scene(self, folder, depth):
        paths = {"a/kitchen_0001/d_0000.npy": 4, "a/kitchen_0001/d_0001.npy": 5}
        self.found(folder, depth, {**paths, "a/office_0002/images/cam_01/frame.0003.npy": 7, "a/else/0005.npy": 0})

    def test_two_files_of_a_frame(self, folder, depth):
        with pytest.raises(ValueError, match=r"of one frame; keep one"):
            self.found(folder, depth, {"kitchen_0001/x/5.npy": 4, "kitchen_0001/y/5.npy": 4})

    def test_no_scene_of_the_data_set(self, folder, depth):
        (folder / "garage").mkdir()
        np.save(folder / "garage/0005.npy", depth[4])
        assert "in one a scene" in complaint(folder, names=lambda: SCENES)


class TestHostileFiles:
    def declare(self, path, shape, dtype="<f4", content=b""):
        with path.open("wb") as file:
            header = {"descr": dtype, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(content)

    def pack(self, path, source, packing=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.write(source, "depth.npy")

    def test_a_kilobyte_that_declares_a_terabyte(self, folder):
        self.declare(folder / "0005.npy", (10**6, 10**6))
        assert "truncated, or not a NumPy file" in complaint(folder)
        self.pack(folder / "0006.npz", folder / "0005.npy")
        assert "declares 1000000x1000000 values" in complaint(folder, 5)

    def test_a_bomb(self, folder):
        """16 million zeros are packed into 16 kB; what is declared is looked at first."""
        self.declare(folder / "bomb", (20_000, 20_000), "|u1", bytes(2**24))
        self.pack(folder / "0005.npz", folder / "bomb")
        assert "declares 20000x20000" in complaint(folder)

    def test_encrypted(self, folder, depth):
        np.savez(folder / "0005.npz", depth=depth[4])
        content = bytearray((folder / "0005.npz").read_bytes())
        for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            content[content.index(magic) + offset] |= 1
        (folder / "0005.npz").write_bytes(content)
        assert "is encrypted" in complaint(folder)

    @pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    def test_a_damaged_member_of_any_packing(self, folder, depth, packing):
        np.save(folder / "0006.npy", depth[5])
        self.pack(folder / "0005.npz", folder / "0006.npy", packing)
        np.testing.assert_array_equal(open_files(folder).read(4)[0].numpy(), depth[5])
        content = bytearray((folder / "0005.npz").read_bytes())
        content[60:90] = bytes(30)
        (folder / "0005.npz").write_bytes(content)
        assert "truncated, or not a NumPy file" in complaint(folder)

    def test_text(self, folder):
        np.savez(folder / "0005.npz", depth=np.array([["a", "b"]]))
        assert "is <U1, depth is in floats" in complaint(folder)
        with zipfile.ZipFile(folder / "0006.npz", "w") as archive:
            archive.writestr("readme.txt", "no array")
        assert "truncated, or not a NumPy file" in complaint(folder, 5)

    def test_hdf5_without_content(self, tmp_path):
        with h5py.File(tmp_path / "mine.h5", "w") as file:
            file["depth"] = h5py.Empty("f4")
        assert "holds neither" in complaint(tmp_path / "mine.h5")
        with h5py.File(tmp_path / "mine.h5", "w") as file:
            file.create_dataset("depth", (3, 10**6, 10**6), "f4", chunks=(1, 64, 64))
        assert "declares 1000000x1000000" in complaint(tmp_path / "mine.h5")


class TestBadFiles:
    @pytest.mark.parametrize("suffix", ["npy", "npz", "png"])
    @pytest.mark.parametrize("share", [0, 0.5, 0.9])
    def test_truncated(self, folder, depth, suffix, share):
        path = folder / f"0005.{suffix}"
        if suffix == "png":
            cv2.imwrite(str(path), (depth[4] * 1000).astype(np.uint16))
        else:
            {"npy": np.save, "npz": np.savez_compressed}[suffix](path, depth[4])
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        line = complaint(folder)
        assert path.name in line
        assert "truncated" in line

    def test_pickles_are_refused(self, folder):
        np.save(folder / "0005.npy", np.array([{"a": 1}], dtype=object))
        assert "plain numbers" in complaint(folder)

    @pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64, bool, np.complex64])
    def test_dtype(self, folder, dtype):
        np.save(folder / "0005.npy", np.ones((6, 8), dtype))
        assert f"is {np.dtype(dtype)}" in complaint(folder)

    @pytest.mark.parametrize("shape", [(), (48,), (2, 6, 8), (1, 1, 6, 8), (0, 8)])
    def test_shape(self, folder, shape):
        np.save(folder / "0005.npy", np.ones(shape, np.float32))
        assert f"is {shape}, a depth map is (h, w)" in complaint(folder)

    @pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.uint8, 3), (np.uint16, 3)])
    def test_a_picture_of_depth(self, folder, dtype, channels):
        cv2.imwrite(str(folder / "0005.png"), np.ones((6, 8, channels), dtype))
        assert f"is {8 * np.dtype(dtype).itemsize}-bit with {channels} channel" in complaint(folder)

    def test_two_files_of_a_frame(self, folder, depth):
        np.save(folder / "0005.npy", depth[4])
        np.save(folder / "5.npy", depth[4])
        assert "0005.npy and 5.npy are of one frame" in complaint(folder)
        (folder / "5.npy").rename(folder / "0005.npz")
        assert "0005.npy and 0005.npz are of one frame" in complaint(folder)

    def test_counted_from_0(self, folder, depth):
        np.save(folder / "0000.npy", depth[4])
        assert "counted from 1" in complaint(folder)

    def test_names_without_one_number_are_no_predictions(self, folder, depth):
        for name in ("overview", "scene2_5"):
            np.save(folder / f"{name}.npy", depth[4])
        (folder / "0005.txt").write_text("not a map")
        assert "holds no prediction" in complaint(folder)

    def test_no_folder(self, tmp_path):
        assert "is neither a folder" in complaint(tmp_path / "nowhere")

    def test_scale(self, folder):
        with pytest.raises(ValueError, match="must be positive"):
            open_files(folder, scale=0)


@pytest.mark.parametrize("size", [(480, 640), (240, 320), (518, 686), (61, 81), (384, 512)])
def test_scaled_maps_are_taken(folder, size):
    np.save(folder / "5.npy", np.ones(size, np.float32))
    assert open_files(folder).read_whole(4, (480, 640)).shape == (1, *size)


@pytest.mark.parametrize(
    ("size", "said"), [((640, 480), "rows and columns are exchanged"), ((427, 561), "crop"), ((384, 384), "crop")]
)
def test_maps_of_another_aspect_ratio_are_refused_unless_they_are_said_to_be_whole(folder, size, said):
    np.save(folder / "5.npy", np.ones(size, np.float32))
    with pytest.raises(ValueError, match=said):
        open_files(folder).read_whole(4, (480, 640))
    assert open_files(folder, stretch=True).read_whole(4, (480, 640)).shape == (1, *size)
    (folder / SQUEEZED_FILE).write_text(json.dumps({"size": size}))  # as `segdepth predict` does
    assert open_files(folder).read_whole(4, (480, 640)).shape == (1, *size)
