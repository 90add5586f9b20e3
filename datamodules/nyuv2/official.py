"""Which frames are NYUv2's: what their official names look like, so that a tree of others does not bear the name."""

import re
from collections.abc import Iterable

#: Labelled frames, and BTS's list of training frames.
LABELED_FRAMES, BTS_TRAIN_FRAMES = 1449, 24231

#: Types of scene in NYUv2, as its folders spell them; ``nyu_office`` is of the raw video.
SCENE_TYPES = (
    "basement", "bathroom", "bedroom", "bookstore", "cafe", "classroom", "computer_lab", "conference_room", "den",
    "dinette", "dining_room", "excercise_room", "exercise_room", "foyer", "furniture_store", "home_office",
    "home_storage",
    "indoor_balcony", "kitchen", "laundry_room", "living_room", "nyu_office", "office", "office_kitchen", "playroom",
    "printer_room", "reception_room", "student_lounge", "study", "study_room",
)  # fmt: skip

#: A scene's folder: its type, then number, part and what copies of the data append.
_SCENE = re.compile(rf"({'|'.join(SCENE_TYPES)})(_\d+[a-z]?)?(_out)?")

#: The official test frames: bit i is set where the frame with 0-based index i is one of the 654.
_TEST_FRAMES = int(
    "1ff01e0f03fc1fe7f8001980f1c0fcf00060fe77ff0fc01ffe3c0073e0f8fff0f80fce67e3fff80c7fc701efeff8ffc00031"
    "9806380700e0f07c001fe73c0070078e0700e00000000703f0e3fff00703e0f8007ffffffc000c03cf831fe0733e1f9f8c38"
    "6183f001f187c03c07c07fffc70071c3ffdf80000001ff3e000ff07e0003c001c3f80000ffcc0007ff01ce03f801fc1c0800"
    "2000000380fc3fffff8fdc00700013df070000007f878007d8067fff813e103",
    16,
)

#: Share of frames whose scene must be of a known type: copies rename a folder now and then.
_MOST = 0.9


def is_test_frame(index: int) -> bool:
    """Return whether the labelled frame of a 0-based index is in the official test part."""
    return bool(_TEST_FRAMES >> index & 1) if index >= 0 else False


def other_tests(frames: Iterable[tuple[str, int]]) -> str | None:
    """Return the first test frame, of scenes and 0-based indices, that is not NYUv2's, for messages; else None."""
    for scene, index in frames:
        if not _SCENE.fullmatch(scene) or not is_test_frame(index):
            return f"test frame {index} (0-based) of `{scene}`"
    return None


def other_scenes(scenes: Iterable[str]) -> str | None:
    """Return the first of some frames' scenes that is not of NYUv2, if more than one in ten are not; else None."""
    names = list(scenes)
    others = [scene for scene in names if not _SCENE.fullmatch(scene)]
    return f"scene `{others[0]}`" if len(others) > (1 - _MOST) * len(names) else None
