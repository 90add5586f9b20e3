"""Every loader on Rooms in its own format: what was rendered is what comes out, to the format's quantum."""

import numpy as np
import pytest
import torch

from datamodules import (
    HyperSimDataModule,
    IBimsDataModule,
    NYUv2DataModule,
    NYUv2OCDataModule,
    NYUv2RawDataModule,
)
from datamodules.nyuv2.kinect import DEPTH_MATRIX
from datamodules.rooms import build_scene, render_scene
from datamodules.rooms.furniture_classes import rooms_nyu40
from datamodules.rooms.layouts import (
    film_scene,
    write_bts,
    write_hypersim,
    write_ibims,
    write_kinect_dump,
    write_marigold,
    write_occlusion,
)
from datamodules.rooms.walk import camera_walk
from datamodules.rooms.writer import SceneInfo, measured_depth, write_data_set

HEIGHT, WIDTH, FRAMES = 48, 64, 2
SCENES = [
    SceneInfo("bedroom_0000", "bedroom", is_test=False),
    SceneInfo("living_room_0001", "living_room", is_test=True),
    SceneInfo("dining_room_0003", "dining_room", is_test=False),
]
SMALL = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "batch_size": 2, "eval_batch_size": 2}


@pytest.fixture(scope="module")
def built():
    scenes = [build_scene(info.scene_type, 0, number) for number, info in enumerate(SCENES)]
    return [(scene, camera_walk(scene, FRAMES, 0, number)) for number, scene in enumerate(scenes)]


@pytest.fixture(scope="module")
def rendered(built):
    return [render_scene(scene, walk, HEIGHT, WIDTH, supersampling=1, seed=i) for i, (scene, walk) in enumerate(built)]


def at(rendered, index):
    """Depth, measured depth, fine labels, instances, occlusion and colour of a frame by its global index."""
    images, frame = rendered[index // FRAMES], index % FRAMES
    depth, labels, occlusion = (getattr(images, key).numpy() for key in ("depth", "labels", "occlusion"))
    return {
        "depth": depth[frame],
        "measured": measured_depth(depth, labels, occlusion)[frame],
        "labels": labels[frame],
        "instances": images.instances.numpy()[frame],
        "occlusion": occlusion[frame],
        "rgb": images.rgb.numpy()[frame],
    }


def setup(module):
    module.setup()
    return module


def same_partition(first, second):
    """Whether two label maps are equal up to renumbering."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_labelled_file(rendered, tmp_path):
    write_data_set(tmp_path, SCENES, iter(rendered), FRAMES, (HEIGHT, WIDTH))
    module = setup(NYUv2DataModule(str(tmp_path), depth="raw", **SMALL))
    assert module.name == "rooms_nyuv2"
    assert [list(part) for part in (module.splits.train, module.splits.test)] == [[0, 1, 4, 5], [2, 3]]
    for index in range(6):
        frame, truth = module.reader.read(index), at(rendered, index)
        np.testing.assert_array_equal(frame.maps["depth"][0].numpy(), truth["measured"])
        np.testing.assert_array_equal(frame.maps["semantics"].numpy(), rooms_nyu40()[truth["labels"]])
        assert same_partition(frame.maps["instances"].numpy(), truth["labels"] * 256 + truth["instances"])
        np.testing.assert_array_equal(frame.image.permute(1, 2, 0).numpy(), truth["rgb"])
        assert (frame.scene, frame.frame, frame.index) == (SCENES[index // 2].name, index % 2, index)
    fine = setup(NYUv2DataModule(str(tmp_path), classes=894, **SMALL)).reader.read(0).maps["semantics"]
    np.testing.assert_array_equal(fine.numpy(), at(rendered, 0)["labels"])


def test_bts_tree(rendered, tmp_path):
    write_bts(tmp_path, SCENES, rendered)
    module = setup(NYUv2DataModule(str(tmp_path), **SMALL))
    assert (module.found_layout, module.name) == ("bts", "rooms_nyuv2")
    assert [module.reader.indices[p] for p in module.splits.test] == [2, 3]
    order = [0, 1, 4, 5, 2, 3]
    for position, index in enumerate(order):
        frame, truth = module.reader.read(position), at(rendered, index)
        np.testing.assert_allclose(frame.maps["depth"][0].numpy(), truth["measured"], atol=0.5001e-3)
        assert np.abs(frame.image.permute(1, 2, 0).numpy() - truth["rgb"].astype(float)).mean() < 8  # JPEG
    assert [module.reader.scenes[p] for p in range(6)] == [*["bedroom_0000"] * 2, *["dining_room_0003"] * 2] + [
        "living_room"
    ] * 2
    with pytest.raises(ValueError, match="not in a BTS tree"):
        setup(NYUv2DataModule(str(tmp_path), depth="filled", **SMALL))
    with pytest.raises(ValueError, match="split: official"):
        setup(NYUv2DataModule(str(tmp_path), split="random801010", **SMALL))


@pytest.mark.parametrize(("depth", "key"), [("filled", "depth"), ("raw", "measured"), ("auto", "measured")])
def test_marigold_tree(rendered, tmp_path, depth, key):
    write_marigold(tmp_path, SCENES, rendered)
    module = setup(NYUv2DataModule(str(tmp_path), layout="marigold", depth=depth, **SMALL))
    for position, index in enumerate([0, 1, 4, 5, 2, 3]):
        frame, truth = module.reader.read(position), at(rendered, index)
        np.testing.assert_allclose(frame.maps["depth"][0].numpy(), truth[key], atol=0.5001e-3)
        np.testing.assert_array_equal(frame.image.permute(1, 2, 0).numpy(), truth["rgb"])
        assert frame.index == index  # files count from 1, indices from 0


@pytest.fixture(scope="module")
def hypersim(built, tmp_path_factory):
    filmed = [film_scene(scene, walk, i, HEIGHT, WIDTH, supersampling=1) for i, (scene, walk) in enumerate(built)]
    folder = tmp_path_factory.mktemp("hypersim")
    write_hypersim(folder, SCENES, filmed)
    return folder, filmed


def test_hypersim(hypersim):
    folder, filmed = hypersim
    module = setup(HyperSimDataModule(str(folder), **SMALL))
    assert module.name == "rooms_hypersim"
    assert [len(part) for part in (module.splits.train, module.splits.val, module.splits.test)] == [2, 2, 2]
    assert not set(module.splits.train) & set(module.splits.test)
    for position in range(len(module.reader)):
        frame = module.reader.read(position)
        number, own = int(frame.scene[-3:]) - 1, frame.frame
        images = filmed[number].images
        depth, truth = frame.maps["depth"][0].numpy(), images.depth[own].numpy()
        valid = depth > 0
        assert valid.sum() >= valid.size - 6  # six pixels of one frame are NaN in the file
        np.testing.assert_allclose(depth[valid], truth[valid], rtol=2**-11 * 1.01)  # half precision
        labels = rooms_nyu40()[images.labels[own].numpy()]
        np.testing.assert_array_equal(frame.maps["semantics"].numpy()[valid], labels[valid])
        assert set(np.unique(labels[(frame.maps["instances"].numpy() == 0) & valid])) <= {1, 2, 22}
        camera = filmed[number].camera / filmed[number].camera[2, 2]
        np.testing.assert_allclose(frame.intrinsics.numpy(), camera, rtol=1e-4, atol=1e-4)
    again = HyperSimDataModule(str(folder), cameras="constant", **SMALL)
    tilted = module.splits.val[0]
    difference = (again.reader.read(tilted).maps["depth"] / module.reader.read(tilted).maps["depth"] - 1).abs()
    assert difference.max() > 0.01


def test_hypersim_points_project_where_they_were_seen(hypersim):
    """Back-projected with the frame's own camera, a pixel's point lies at the released distance from the centre."""
    folder, _ = hypersim
    planar = HyperSimDataModule(str(folder), **SMALL).reader
    module = HyperSimDataModule(str(folder), depth="distance", **SMALL)
    assert module.radial
    assert not HyperSimDataModule(str(folder), **SMALL).radial
    distance = module.reader
    for position in range(len(planar)):
        frame, far = planar.read(position), distance.read(position).maps["depth"][0].double()
        y, x = torch.meshgrid(torch.arange(HEIGHT).double(), torch.arange(WIDTH).double(), indexing="ij")
        rays = torch.linalg.inv(frame.intrinsics.double()) @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
        points = rays / rays[2] * frame.maps["depth"].double().flatten()
        torch.testing.assert_close(points.norm(dim=0), far.flatten(), rtol=1e-5, atol=0)


def test_hypersim_preview_is_the_tone_mapped_hdr(hypersim):
    folder, _ = hypersim
    hdr = HyperSimDataModule(str(folder), labels=False, **SMALL).reader.read(0).image.float()
    preview = HyperSimDataModule(str(folder), labels=False, color="preview", **SMALL).reader.read(0).image.float()
    assert (hdr - preview).abs().mean() < 8  # JPEG
    saturated = HyperSimDataModule(str(folder), labels=False, tone_map="semantic_md", **SMALL).reader.read(0).image
    assert (saturated.float() - hdr).abs().mean() > 8


@pytest.mark.parametrize("convention", ["oc++", "oc"])
def test_occlusion_boundaries(rendered, tmp_path, convention):
    (tmp_path / "nyuv2").mkdir()
    write_data_set(tmp_path / "nyuv2", SCENES, iter(rendered), FRAMES, (HEIGHT, WIDTH))
    write_occlusion(tmp_path / "nyuv2_oc", SCENES, rendered, convention=convention)
    module = setup(NYUv2OCDataModule(str(tmp_path / "nyuv2"), **SMALL))
    assert list(module.splits.test) == [2, 3]
    for index in (2, 3):
        np.testing.assert_array_equal(
            module.reader.read(index).maps["occlusion"][0].numpy(), at(rendered, index)["occlusion"]
        )
    assert not module.reader.read(0).maps["occlusion"].any()
    batch = next(iter(module.test_dataloader()))
    assert batch["occlusion"].shape == (2, 1, HEIGHT, WIDTH)


@pytest.mark.parametrize("layout", ["mat", "png"])
def test_ibims(rendered, tmp_path, layout):
    write_ibims(tmp_path, SCENES, rendered)
    module = setup(IBimsDataModule(str(tmp_path), layout=layout, **SMALL))
    assert [len(part) for part in (module.splits.train, module.splits.val, module.splits.test)] == [0, 0, 2]
    for position, index in enumerate((2, 3)):
        frame, truth = module.reader.read(position), at(rendered, index)
        depth = frame.maps["depth"][0].numpy()
        assert 0.3 < (depth > 0).mean() < 1
        np.testing.assert_allclose(depth[depth > 0], truth["depth"][depth > 0], atol=50 / 65535)
        np.testing.assert_array_equal(frame.maps["occlusion"][0].numpy(), truth["occlusion"])
    batch = next(iter(module.test_dataloader()))
    assert ("plane_parameters" in batch) == (layout == "mat")
    with pytest.raises(ValueError, match="no training frames"):
        module.train_dataloader()


def test_ibims_planes_hold_their_points(rendered, tmp_path):
    write_ibims(tmp_path, SCENES, rendered)
    frame = IBimsDataModule(str(tmp_path), layout="mat", **SMALL).reader.read(0)
    y, x = torch.meshgrid(torch.arange(HEIGHT).float(), torch.arange(WIDTH).float(), indexing="ij")
    rays = torch.linalg.inv(frame.intrinsics) @ torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    points = (rays * frame.maps["depth"].flatten()).T
    checked = 0
    for number in frame.maps["planes"].unique().tolist():
        inside = (frame.maps["planes"].flatten() == number) & (frame.maps["depth"].flatten() > 0)
        if number == 0 or inside.sum() < 20:
            continue
        plane = frame.facts["plane_parameters"][number - 1]
        residual = (points[inside] @ plane[:3] + plane[3]).abs() / plane[:3].norm()
        assert residual.max() < 0.03
        checked += 1
    assert checked >= 2


@pytest.mark.slow
def test_kinect_video(built, tmp_path):
    scene, walk = built[1]
    images = render_scene(scene, walk[:1], 480, 640, supersampling=1)
    write_kinect_dump(tmp_path, [SCENES[1]], [images])
    module = setup(NYUv2RawDataModule(str(tmp_path), register=False, **{**SMALL, "crop": (384, 384)}))
    assert module.name == "rooms_nyuv2_raw"
    frame = module.reader.read(0)
    depth, truth = frame.maps["depth"][0].numpy(), images.depth[0].numpy()
    measured = measured_depth(images.depth.numpy(), images.labels.numpy(), images.occlusion.numpy())[0]
    assert ((depth > 0) == (measured > 0)).mean() > 0.99
    quantum = truth**2 / 351.3  # one 11-bit code more: d(351.3 / (1092.5 - v)) = depth^2 / 351.3
    assert (np.abs(depth - truth) <= 0.51 * quantum + 1e-4)[depth > 0].all()
    torch.testing.assert_close(frame.intrinsics.numpy(), np.asarray(DEPTH_MATRIX, dtype=np.float32))
    np.testing.assert_array_equal(frame.image.permute(1, 2, 0).numpy(), images.rgb[0].numpy())
    assert frame.scene == "living_room_0001"
