"""Superpixels of whole frames that are resized before they are cropped."""

from dataclasses import replace

import pytest
import torch

from datamodules.frames import Frame
from datamodules.pipeline.frame_maps import FrameSuperpixels
from datamodules.pipeline.superpixels import SeedsSuperpixels
from datamodules.pipeline.transforms import EvalTransform, Finish, TrainTransform, resize_image, resize_map

IDENTITY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
NATIVE, SMALL = (120, 160), (48, 64)
SEEDS = SeedsSuperpixels(8)


@pytest.fixture(scope="module")
def frame():
    """A frame of coloured patches with superpixels of it at a smaller size."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.randint(0, 255, (3, 12, 16), generator=generator, dtype=torch.uint8)
    image = resize_map(patches, NATIVE)
    plain = Frame(image, {"depth": torch.ones(1, *NATIVE)}, torch.eye(3), scene="a", frame=0, index=0)
    return replace(plain, maps=plain.maps | FrameSuperpixels(SEEDS, SMALL)(plain))


def made_small(frame):
    return torch.from_numpy(SEEDS(resize_image(frame.image, SMALL).permute(1, 2, 0).numpy()))


def test_brought_to_their_size_they_are_what_was_made(frame):
    ids = frame.maps["superpixels"]
    assert ids.shape == NATIVE
    assert resize_map(ids, SMALL).equal(made_small(frame))


def test_evaluation_shows_those_of_the_network_input(frame):
    plain = replace(frame, maps={"depth": frame.maps["depth"]})
    finish = Finish(*IDENTITY, SEEDS, whole_size=SMALL)
    for size in (SMALL, (32, 40), None):  # at another size they are made of the image
        sample, expected = EvalTransform(finish, size)(frame), EvalTransform(finish, size)(plain)
        assert sample["superpixels"].equal(expected["superpixels"])


@pytest.mark.parametrize("hflip", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_crop_has_its_part_of_them(frame, seed, hflip):
    """In the middle of a crop two pixels are together exactly where they are in the whole frame."""
    whole = made_small(frame)
    numbered = {**frame.maps, "places": torch.arange(NATIVE[0] * NATIVE[1]).view(NATIVE)}
    transform = TrainTransform(Finish(*IDENTITY, SEEDS, whole_size=SMALL), (32, 40), SMALL, hflip=hflip)
    torch.manual_seed(seed)
    sample = transform(replace(frame, maps=numbered))
    ids, places = sample["superpixels"], sample["places"]
    assert ids.shape == (32, 40)
    assert 0 <= ids.min() <= ids.max() < SEEDS.count(32, 40)
    small_places = resize_map(numbered["places"], SMALL).flatten()
    at = torch.searchsorted(small_places, places.contiguous())  # the pixel of the small frame that each pixel shows
    middle = (slice(8, 24), slice(8, 32))
    pairs = torch.stack([whole.flatten()[at][middle].flatten(), ids[middle].flatten()]).unique(dim=1)
    assert len(pairs[0].unique()) == len(pairs[1].unique()) == pairs.shape[1]


def test_stores_made_before_there_were_sizes_are_known():
    assert vars(FrameSuperpixels(SEEDS)).keys() == {"algorithm"}
