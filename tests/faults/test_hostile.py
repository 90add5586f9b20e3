"""Files made to hurt: sizes that no memory holds, types that no format has, pictures that say how to be turned."""

import io
import struct
import zlib

import cv2
import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from datamodules.declared_size import declared_size
from datamodules.files import read_hdf5
from datamodules.nyuv2.nyuv2_oc import read_boundaries
from datamodules.storage.images import decode_image, read_rgb
from experiments.datasets.verify import FrameChecks
from tests.helpers.complaints import check_complaint, complaints
from tests.helpers.faults import hdf5, matlab


def huge_png(path):
    """A PNG of 100 bytes that declares 100,000 x 100,000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 16, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b""))


def declare(shape, dtype="f4"):
    """A fault that declares an array of another shape or dtype in place of an HDF5 file's, without its content."""

    def act(path):
        with h5py.File(path, "r+") as file:
            del file["dataset"]
            file.create_dataset("dataset", shape, dtype, chunks=(64, 64) if shape else None)

    return act


def null(key):
    def act(path):
        with h5py.File(path, "r+") as file:
            del file[key]
            file[key] = h5py.Empty("f4")

    return act


def long_codes(path):
    """64-bit numbers in the place of characters."""
    with h5py.File(path, "r+") as file:
        cell = file.create_dataset("long", data=np.full((3, 1), 2**40))
        file["scenes"][0, 0] = cell.ref


SPLIT = "nyuv2/splits.mat"
LABELED = "nyuv2/nyu_depth_v2_labeled.mat"
DEPTH = "hypersim/*/images/*/*.depth_meters.hdf5"
CASES = [
    ("bts", "nyuv2/sync/*/sync_depth_*.png", huge_png, "declares 100000x100000"),
    ("bts", "nyuv2/sync/*/rgb_*.jpg", huge_png, "declares 100000x100000"),
    ("ibims_png", "ibims1/ibims1_core_raw/depth/*.png", huge_png, "declares"),
    ("hypersim", DEPTH, declare((10**6, 10**6)), "1000000x1000000"),
    ("hypersim", DEPTH, null("dataset"), "null dataspace"),
    ("hypersim", DEPTH, hdf5("dataset", lambda array: array.astype(complex)), "complex"),
    ("labeled", LABELED, null("depths"), "`depths` is an empty array"),
    ("labeled", LABELED, long_codes, "`scenes` is not a cell array"),
    ("labeled", SPLIT, matlab(lambda _: {"trainNdxs": np.array([1, np.inf])}), "whole numbers"),
    ("labeled", SPLIT, matlab(lambda _: {"trainNdxs": np.array([1 + 1j])}), "whole numbers"),
    ("labeled", SPLIT, matlab(lambda _: {"trainNdxs": np.array([True, False])}), "holds indices 0..1"),
]


@pytest.mark.parametrize(("name", "pattern", "fault", "said"), CASES)
def test_hostile_file_is_named(layout, name, pattern, fault, said):
    data = layout(name)
    file = data.file(pattern)
    fault(file)
    found = complaints(data.module())
    assert found
    for text in found:
        check_complaint(text, file.name, said)


def test_an_absurd_camera_is_named(layout):
    """A thousand times wider: every depth would be made planar wrongly, without a word."""
    data = layout("hypersim")
    table = data.file("hypersim/metadata_camera_parameters.csv")
    header, *rows = [line.split(",") for line in table.read_text().splitlines()]
    column = [cell.strip() for cell in header].index("M_cam_from_uv_00")
    rows[1][column] = str(1000 * float(rows[1][column]))
    table.write_text("\n".join(",".join(row) for row in (header, *rows)))
    check_complaint(complaints(data.module())[0], table.name, "ai_001_002 sees 180 degrees")


def test_values_that_mean_nothing_are_counted(layout):
    data = layout("hypersim")
    reader = data.module().reader
    assert [reader.oddities(n) for n in range(len(reader))] == [()] * len(reader)
    name = reader.frames[0]
    for kind, changes in (("color", (np.nan, np.inf, -1.0, -1.0)), ("depth_meters", (np.inf, np.nan))):
        with h5py.File(name.path(reader.root, kind), "r+") as file:
            for row, value in enumerate(changes):
                file["dataset"][row, 0] = value
    assert data.module().reader.oddities(0) == (
        "depth has values that mean nothing: 1 infinite",
        "HDR colour has values that mean nothing: 3 NaN, 3 infinite, 6 negative",
    )
    warned = FrameChecks(reader, [0])[0].warnings
    assert len(warned) == 2


def test_depth_of_the_other_byte_order_is_depth(layout):
    data = layout("hypersim")
    before = [data.module().reader.read_depth(n) for n in range(3)]
    for file in data.folder.glob(DEPTH):
        hdf5("dataset", lambda array: array.astype(array.dtype.newbyteorder(">")))(file)
    assert all((data.module().reader.read_depth(n) == depth).all() for n, depth in enumerate(before))


def test_skipping_covers_a_picture_beyond_every_limit(layout):
    data = layout("bts")
    huge_png(data.file("nyuv2/sync/*/sync_depth_*.png"))
    module = data.module(on_bad_sample="skip")
    module.setup()
    with pytest.warns(UserWarning, match="skipped: .*declares 100000x100000"):
        assert sum(module.train_set[n].get("skipped", 0) for n in range(len(module.train_set))) == 1


def turned(image, orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("form", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_of_pairs_are_not_turned(tmp_path, orientation, form):
    """Depth beside them says nothing of a turn."""
    image = np.zeros((24, 40, 3), np.uint8)
    image[:8, :16] = 255
    (tmp_path / "image").write_bytes(turned(image, orientation, form))
    assert abs(read_rgb(tmp_path / "image").permute(1, 2, 0).numpy().astype(int) - image).max() < 60
    (tmp_path / "map").write_bytes(turned(image[..., 0], orientation, form))
    assert (read_boundaries(tmp_path / "map", (24, 40))[0].numpy() == (image[..., 0] > 0)).mean() > 0.95
    for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE):
        assert decode_image(tmp_path / "image", flags)[2, 2].max() > 200
        assert decode_image(tmp_path / "image", flags)[-2, -2].max() < 60


def test_declared_sizes():
    image = np.zeros((24, 40), np.uint8)
    for suffix in (".png", ".jpg"):
        content = cv2.imencode(suffix, image)[1].tobytes()
        assert declared_size(content) == (24, 40)
        assert declared_size(content[:20]) == (0, 0)
    assert declared_size(turned(image, 3, "jpeg")) == (24, 40)


def test_a_null_array_and_a_group_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dataset"] = h5py.Empty("f4")
    with pytest.raises(ValueError, match="null dataspace"):
        read_hdf5(tmp_path / "a.h5", "float", (None, None))


def test_a_huge_split_is_named(layout):
    data = layout("labeled")
    savemat(data.file(SPLIT), {"trainNdxs": np.array([2.0**70]), "testNdxs": np.array([1])})
    check_complaint(complaints(data.module())[0], "splits.mat", "holds indices")
