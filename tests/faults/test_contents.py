"""Files that can be opened, with contents that their format does not have: keys, dtypes, shapes, values."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from tests.helpers.complaints import check_complaint, complaints
from tests.helpers.faults import (
    codes,
    field,
    group,
    hdf5,
    last_axis_0,
    matlab,
    narrower,
    no_pixels,
    nothing,
    picture,
    put,
    text,
)

LABELED, SPLITS, MAPPING = (f"nyuv2/{name}.mat" for name in ("nyu_depth_v2_labeled", "splits", "classMapping40"))
METERS, SEMANTIC, INSTANCE = (f"**/*.{name}.hdf5" for name in ("depth_meters", "semantic", "semantic_instance"))
MAT = "ibims1/ibims1_core_mat/*.mat"
SHARD = "store/frames-00000.h5"

#: Faults of a file that all frames share: every one of them is told of.
SHARED = [
    *[("labeled", LABELED, hdf5(key, nothing), [f"`{key}` is missing"]) for key in ("images", "depths", "labels")],
    *[("labeled", LABELED, hdf5(key, narrower), ["which does not fit"]) for key in ("images", "depths", "rawDepths")],
    *[("labeled", LABELED, hdf5(key, narrower), [f"`{key}` is"]) for key in ("labels", "instances")],
    *[("labeled", LABELED, hdf5(key, lambda a: a.astype("i4")), [f"`{key}` is"]) for key in ("images", "rawDepths")],
    ("labeled", LABELED, hdf5("images", lambda a: a.astype("u2")), ["`images` is uint16"]),
    ("labeled", LABELED, hdf5("labels", lambda a: a.astype("f4")), ["`labels` is float32"]),
    ("labeled", LABELED, hdf5("images", lambda a: a[:, 0]), ["`images` is"]),
    ("labeled", LABELED, hdf5("images", last_axis_0), ["`images` is", "no pixel"]),
    ("labeled", LABELED, hdf5("scenes", lambda a: np.arange(6.0)[None]), ["`scenes`"]),
    ("labeled", LABELED, hdf5("scenes", lambda a: a[:, :-1]), ["`scenes`", "5"]),
    ("labeled", SPLITS, matlab(lambda c: {"testNdxs": np.array([[0]])}), ["`testNdxs`", "0..0"]),
    ("labeled", SPLITS, matlab(lambda c: {"testNdxs": np.array([[99]])}), ["`testNdxs`", "1..6"]),
    ("labeled", SPLITS, matlab(lambda c: {"testNdxs": c["trainNdxs"]}), ["`testNdxs`", "share"]),
    ("labeled", SPLITS, matlab(lambda c: {"testNdxs": np.array(["a"])}), ["`testNdxs`"]),
    ("labeled", SPLITS, matlab(lambda c: {"testNdxs": np.array([[np.nan]])}), ["`testNdxs`"]),
    ("labeled", SPLITS, lambda path: savemat(path, {"train": 1}), ["`trainNdxs` is missing"]),
    ("labeled", MAPPING, lambda path: savemat(path, {"map": 1}), ["`mapClass`"]),
    ("labeled", MAPPING, matlab(lambda c: {"mapClass": c["mapClass"] + 1}), ["1..40"]),
    ("labeled", MAPPING, matlab(lambda c: {"mapClass": c["mapClass"] * np.nan}), ["1..40"]),
    ("labeled", MAPPING, matlab(lambda c: {"mapClass": "a" * 894}), ["1..40"]),
    ("fused", "nyuv1/*.mat", hdf5("names", nothing), ["`names` is missing"]),
    ("store", SHARD, hdf5("maps/depth", nothing), ["`depth` is missing"]),
    ("store", "store/store.json", text("{}"), ["not the index"]),
    ("store", "store/store.json", text("[]"), ["not the index"]),
]

#: Faults of one frame: it alone is told of.
ONE_FRAME = [
    *[("labeled", LABELED, hdf5("rawDepths", put(v, (3, 9, 9))), ["frame 3", "`rawDepths`"]) for v in (np.nan, np.inf)],
    ("labeled", LABELED, hdf5("rawDepths", put(0, 3)), ["frame 3", "no depth in"]),
    ("labeled", LABELED, hdf5("labels", put(895, (3, 9, 9))), ["frame 3", "class 895"]),
    ("bts", "**/sync_depth_*.png", picture(lambda a: (a // 256).astype("u1")), ["uint8", "16-bit"]),
    ("bts", "**/sync_depth_*.png", picture(lambda a: np.stack([a] * 3, -1)), ["(48, 64, 3)", "16-bit"]),
    ("bts", "**/sync_depth_*.png", picture(narrower), ["48x62", "48x64"]),
    ("bts", "**/sync_depth_*.png", picture(np.zeros_like), ["no depth in"]),
    ("bts", "**/sync_depth_*.png", no_pixels, ["not an image"]),
    ("bts", "nyuv2/sync/*/rgb_*.jpg", picture(lambda a: a[:-2]), ["46x64", "48x64"]),
    ("marigold", "**/depth_*.png", picture(np.zeros_like), ["no depth in"]),
    ("marigold", "**/depth_*.png", no_pixels, ["not an image"]),
    ("marigold", "**/rgb_*.png", picture(lambda a: a[:-2]), ["46x64", "48x64"]),
    ("oc", "nyuv2_oc/**/*_oc.png", picture(narrower), ["48x62", "48x64"]),
    ("oc", "nyuv2_oc/**/*_oc.png", no_pixels, ["not an image"]),
    *[("hypersim", kind, hdf5("dataset", narrower), ["(48, 62)"]) for kind in (METERS, SEMANTIC, INSTANCE)],
    *[("hypersim", kind, hdf5("dataset", last_axis_0), ["(48, 0)"]) for kind in (METERS, SEMANTIC, INSTANCE)],
    *[("hypersim", kind, group, ["`dataset` is a group"]) for kind in (METERS, SEMANTIC)],
    ("hypersim", METERS, hdf5("dataset", nothing), ["`dataset` is missing"]),
    ("hypersim", METERS, hdf5("dataset", lambda a: a.astype("i4")), ["int32"]),
    ("hypersim", METERS, hdf5("dataset", lambda a: a * np.float16("nan")), ["no depth in"]),
    ("hypersim", METERS, hdf5("dataset", lambda a: a * np.float16("inf")), ["no depth in"]),
    ("hypersim", SEMANTIC, hdf5("dataset", lambda a: a.astype("f4")), ["float32"]),
    ("hypersim", SEMANTIC, hdf5("dataset", put(41)), ["41", "1..40"]),
    ("hypersim", SEMANTIC, hdf5("dataset", put(-2)), ["-2", "1..40"]),
    ("hypersim", INSTANCE, hdf5("dataset", put(-2)), ["-2"]),
    ("hypersim", "**/*.color.hdf5", hdf5("dataset", lambda a: a[..., 0]), ["(48, 64)"]),
    ("preview", "**/*.tonemap.jpg", picture(lambda a: a[:-2]), ["46", "48"]),
    ("ibims_mat", MAT, lambda path: savemat(path, {"dat": 1}), ["`data`"]),
    ("ibims_mat", MAT, lambda path: savemat(path, {"data": np.ones(3)}), ["`data`"]),
    *[("ibims_mat", MAT, field(name, nothing), [f"data.{name}"]) for name in ("rgb", "depth", "calib", "edges")],
    *[("ibims_mat", MAT, field(name, narrower), [f"{name}"]) for name in ("rgb", "depth", "mask_invalid", "edges")],
    ("ibims_mat", MAT, field("rgb", lambda a: a.astype("f4")), ["data.rgb"]),
    ("ibims_mat", MAT, field("rgb", lambda a: a[:0]), ["(0, 64)"]),
    ("ibims_mat", MAT, field("depth", lambda a: (1000 * a).astype("u2")), ["data.depth", "uint16"]),
    ("ibims_mat", MAT, field("depth", lambda a: a * np.nan), ["NaN"]),
    ("ibims_mat", MAT, field("depth", lambda a: a + np.inf), ["NaN or infinite"]),
    ("ibims_mat", MAT, field("calib", lambda a: 0 * a), ["`calib`"]),
    ("ibims_mat", MAT, field("calib", lambda a: a[:2]), ["`calib`"]),
    ("ibims_mat", MAT, field("mask_wall", put(200)), ["mask_wall", "200"]),
    ("ibims_mat", MAT, field("mask_wall", lambda a: a.astype("f8") * 1e12), ["mask_wall"]),
    ("ibims_mat", MAT, field("mask_wall", lambda a: a - 1.0), ["mask_wall", "-1"]),
    ("ibims_mat", MAT, field("mask_wall_paras", lambda a: np.ones((2, 3))), ["mask_wall_paras"]),
    ("ibims_png", "**/ibims1_core_raw/depth/*.png", picture(lambda a: a.astype("u1")), ["uint8", "16-bit"]),
    ("ibims_png", "**/ibims1_core_raw/depth/*.png", no_pixels, ["not an image"]),
    ("ibims_png", "**/ibims1_core_raw/mask_invalid/*.png", picture(narrower), ["mask_invalid"]),
    ("ibims_png", "**/ibims1_core_raw/calib/*.txt", text("1,2,3"), ["fx,fy,cx,cy"]),
    ("ibims_png", "**/ibims1_core_raw/calib/*.txt", text("nan,1,2,3"), ["`calib`"]),
    ("raw", "**/d-*.pgm", codes(3000), ["11-bit"]),
    ("raw", "**/d-*.pgm", codes(2047), ["no depth in"]),
    ("raw", "**/d-*.pgm", lambda path: path.write_bytes(b"P5 0 0 65535\n"), ["P5 0 0"]),
    ("raw", "**/r-*.ppm", lambda path: path.write_bytes(b"P5 640 480 255\n" + bytes(640 * 480)), ["P6 640 480 255"]),
    *[("store", SHARD, hdf5("maps/depth", put(v, (3, 0, 9, 9))), ["frame 3", "`depth`"]) for v in (np.nan, np.inf)],
]


def describe(value):
    """What a case is called."""
    return value if isinstance(value, str) else "+".join(value) if isinstance(value, list) else ""


@pytest.mark.parametrize(("name", "pattern", "act", "words"), SHARED, ids=describe)
def test_contents_of_a_shared_file(layout, name, pattern, act, words):
    data = layout(name)
    file = data.file(pattern)
    act(file)
    found = complaints(data.module())
    assert found
    for line in found:
        check_complaint(line, file.name, *words)


@pytest.mark.parametrize(("name", "pattern", "act", "words"), ONE_FRAME, ids=describe)
def test_contents_of_one_frame(layout, name, pattern, act, words):
    data = layout(name)
    file = data.file(pattern)
    act(file)
    (line,) = complaints(data.module())
    check_complaint(line, file.name, *words)


def test_damaged_chunk_stops_its_own_frame(layout):
    data = layout("labeled")
    file = data.file(LABELED)
    with h5py.File(file) as content:
        start = content["images"].id.get_chunk_info(3).byte_offset
    with file.open("r+b") as raw:
        raw.seek(start + 40)
        raw.write(bytes(200))
    (line,) = complaints(data.module())
    check_complaint(line, file.name, "`images`", "frame 3")


def test_classes_and_shapes_of_the_store(layout):
    """What is not as it was converted is told of, whatever it is."""
    for act in (hdf5("maps/image", narrower), hdf5("maps/depth", lambda a: a[:3]), hdf5("facts/frame", nothing)):
        data = layout("store", f"data{id(act)}")
        act(data.file(SHARD))
        found = complaints(data.module())
        assert found
        for line in found:
            check_complaint(line, "frames-00000.h5", "convert again")


def test_occlusion_map_of_16_bits(layout):
    data = layout("oc")
    module = data.module()
    position = module.splits.test[-1]
    truth = module.reader.read(position).maps["occlusion"]
    assert truth.any()
    for largest, kind in ((1, "u1"), (255, "u1"), (1, "u2"), (65535, "u2")):
        change = picture(lambda array, largest=largest, kind=kind: np.where(array > 0, largest, 0).astype(kind))
        change(data.file("nyuv2_oc/**/*_oc.png"))
        assert module.reader.read(position).maps["occlusion"].equal(truth)
