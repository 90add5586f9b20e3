"""Ways in which files are broken: functions of a file's path, or functions that make such a function."""

import struct
import zlib

import cv2
import h5py
import numpy as np
from scipy.io import loadmat, savemat


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def replace_by_text(path):
    path.write_bytes(b"this is another format\n" * 40)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def delete(path):
    path.unlink()


BROKEN_FILES = {
    "truncated": truncate,
    "0 bytes": empty,
    "another format": replace_by_text,
    "a folder": replace_by_folder,
    "missing": delete,
}


def hdf5(key, change):
    """A fault that puts another array in the place of one of an HDF5 file; None takes it away."""

    def act(path):
        with h5py.File(path, "r+") as file:
            array, attributes = file[key][()], dict(file[key].attrs)
            del file[key]
            if (changed := change(array)) is not None:
                file[key] = changed
                file[key].attrs.update(attributes)

    return act


def matlab(change):
    """A fault that changes the keys of a MATLAB 5 file."""

    def act(path):
        content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
        savemat(path, {**content, **change(content)})

    return act


def field(name, change):
    """A fault that changes a field of an iBims file's struct; None takes it away."""

    def act(path):
        data = loadmat(path)["data"]
        fields = {key: data[key].item() for key in data.dtype.names}
        changed = change(fields.pop(name))
        savemat(path, {"data": fields if changed is None else {**fields, name: changed}})

    return act


def picture(change):
    """A fault that changes the pixels of an image file."""

    def act(path):
        assert cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return act


def text(content):
    """A fault that puts another text in a file's place."""
    return lambda path: path.write_text(content)


def put(value, at=(3, 4)):
    """A change of one element, or one frame."""

    def change(array):
        array = array.copy()
        array[at] = value
        return array

    return change


def no_pixels(path):
    """A PNG whose header says 0 columns."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 0, 48, 16, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def nothing(array):
    return None


def narrower(array):
    return array[..., :-2]


def last_axis_0(array):
    return array[..., :0]


def codes(value):
    """A fault that puts one value in all pixels of a Kinect's depth file."""
    return lambda path: path.write_bytes(b"P5 640 480 65535\n" + np.full(480 * 640, value, "<u2").tobytes())


def group(path):
    """An HDF5 file with a group where its array is due."""
    with h5py.File(path, "r+") as file:
        del file["dataset"]
        file.create_group("dataset")
