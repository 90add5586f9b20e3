"""The ray caster against a march through the same bodies that knows nothing of intersections."""

import numpy as np
import pytest
import torch

from datamodules.rooms import build_scene, render_scene
from datamodules.rooms.bodies import Kind
from datamodules.rooms.camera import grid
from datamodules.rooms.walk import camera_walk

HEIGHT, WIDTH = 24, 32
STEP = 4e-3  # metres


@pytest.fixture(scope="module", params=[("office", 4), ("kitchen", 2), ("bedroom", 0)])
def rendered(request):
    name, index = request.param
    scene = build_scene(name, 0, index)
    walk = camera_walk(scene, 2, 0, index)
    return scene, walk, render_scene(scene, walk, HEIGHT, WIDTH, supersampling=2)


def first_surface(scene, eye, direction):
    """Marched distance to the first point inside a body or outside the room, and the surface it belongs to."""
    distances = np.arange(STEP, 12, STEP)
    points = eye + distances[:, None] * direction
    bodies = scene.bodies
    centre, half = scene.centre.double().numpy(), scene.half.double().numpy()
    rotation = scene.rotation.double().numpy()
    local = np.einsum("pji,npj->npi", rotation[:bodies], points[:, None] - centre[:bodies]) / half[:bodies]
    kind = scene.kind.numpy()
    inside = np.where(
        kind == Kind.BOX,
        np.abs(local).max(-1) <= 1,
        np.where(
            kind == Kind.CYLINDER,
            (np.square(local[..., :2]).sum(-1) <= 1) & (np.abs(local[..., 2]) <= 1),
            np.square(local).sum(-1) <= 1,
        ),
    )
    outside = (np.abs(points - centre[-1]) > half[-1]).any(-1)
    first = int(np.argmax(inside.any(-1) | outside))
    hits = np.flatnonzero(inside[first])
    return distances[first], set(scene.label[hits].tolist()) if len(hits) else set(scene.label[-6:].tolist())


def test_depth_and_labels_are_those_of_the_first_surface(rendered):
    scene, walk, frames = rendered
    kinds = {Kind(int(k)) for k in scene.kind.unique()}
    assert Kind.BOX in kinds
    assert len(kinds) > 1
    rays = grid(HEIGHT, WIDTH, 1, torch.device("cpu"))
    directions = rays.image((walk[0].rotation @ rays.rays).mT).double().numpy()
    eye = walk[0].position.double().numpy()
    rng = np.random.default_rng(0)
    agreed, labelled = 0, 0
    pixels = rng.integers(0, (HEIGHT, WIDTH), (25, 2))
    for row, column in pixels:
        # the camera's z component of every direction is 1: the distance along it is planar depth
        direction = directions[row, column]
        marched, labels = first_surface(scene, eye, direction)
        agreed += abs(marched - frames.depth[0, row, column].item()) < 2 * STEP
        labelled += frames.labels[0, row, column].item() in labels
    assert agreed >= 24  # a march may step over an edge thinner than its step
    assert labelled >= 24


def test_supersampling_changes_colour_alone(rendered):
    scene, walk, frames = rendered
    plain = render_scene(scene, walk, HEIGHT, WIDTH, supersampling=1)
    for name in ("depth", "labels", "instances", "occlusion"):
        assert torch.equal(getattr(plain, name), getattr(frames, name))
    assert not torch.equal(plain.rgb, frames.rgb)


def test_an_object_is_one_class_and_number(rendered):
    """Pixels of one instance of a class other than the room's own stay close together: they are one thing."""
    _, _, frames = rendered
    assert (frames.labels >= 1).all()
    assert (frames.instances >= 1).all()
    objects = (frames.labels * 256 + frames.instances).unique()
    assert len(objects) > 5


def test_occlusion_is_on_the_nearer_side(rendered):
    _, _, frames = rendered
    depth, boundary = frames.depth, frames.occlusion
    padded = torch.nn.functional.pad(depth[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    neighbours = torch.stack([padded[:, 1:-1, 2:], padded[:, 1:-1, :-2], padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]])
    assert boundary.any()
    # a boundary breaks the continuation of its own surface: on a slanted one the far side may be a little nearer
    assert (neighbours.amax(0) > depth)[boundary].float().mean() > 0.95


def test_walks_move_and_look_around(rendered):
    scene, walk, frames = rendered
    first, second = (view.position for view in walk)
    assert 0.02 < (first - second).norm() < 0.5
    half = scene.half[-1]
    assert all(((view.position - scene.centre[-1]).abs() < half).all() for view in walk)
    assert not torch.equal(frames.rgb[0], frames.rgb[1])
