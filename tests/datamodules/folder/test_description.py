"""What `dataset.yaml` may say, and how each fault is put."""

import pytest

from datamodules import FolderDataModule
from datamodules.folder.description import read_description
from tests.helpers.own_frames import describe

CAMERA = {"fx": 1, "fy": 1}

#: Keys that are wrong, and what is said of them.
FAULTS = {
    "nyuv2": ({"name": "nyuv2"}, r"dataset\.yaml: key `name` is 'nyuv2': .*nyu.*my_nyuv2"),
    "NYUv2-mine": ({"name": "NYUv2-mine"}, "key `name`.*names that begin with"),
    "rooms": ({"name": "Rooms_2"}, "key `name`.*names that begin with"),
    "slash": ({"name": "a/b"}, "key `name` is 'a/b', which cannot stand in metric keys"),
    "dot": ({"name": "a.b"}, "cannot stand in metric keys"),
    "no name": ({"name": None}, "key `name` is missing; give the data set a name"),
    "no depth": ({"depth": None}, "key `depth` is missing"),
    "no camera": ({"camera": None}, "key `camera` is missing.*horizontal_fov"),
    "unknown key": ({"splts": {}}, "unknown key `splts`; did you mean `splits`?"),
    "unknown nested key": ({"depth": {"unti": "mm"}}, r"unknown key `depth\.unti`; did you mean `unit`?"),
    "unit": ({"depth": {"unit": "inch"}}, r"key `depth\.unit` is 'inch'; there are m, dm, cm, mm"),
    "two units": ({"depth": {"unit": "mm", "scale": 5}}, "both say what a stored step is"),
    "scale": ({"depth": {"scale": -5}}, r"key `depth\.scale` is -5, not a positive number"),
    "range": ({"depth": {"range": [5, 1]}}, r"key `depth\.range` is \[5, 1\], not `\[nearest, farthest\]`"),
    "measured": ({"depth": {"measured": "radail"}}, "did you mean `radial`?"),
    "truth": ({"truth": "relative"}, "key `truth` is 'relative'; there are metric, scale, scale_and_shift"),
    "section": ({"depth": "mm"}, "key `depth` is 'mm', not a mapping with keys such as `unit`"),
    "two cameras": ({"camera": {**CAMERA, "file": "c.txt"}}, "key `camera` needs one of"),
    "angle": ({"camera": {"horizontal_fov": 190}}, "190 degrees"),
    "template": ({"files": {"rgb": "{scene}/{name}.png"}}, r"key `files\.rgb`.*there is no \{name\}"),
    "outside": ({"files": {"rgb": "../{frame}"}}, "leaves the folder"),
    "no rgb": ({"files": {"rgb": None}}, "every frame needs one"),
    "classes": ({"classes": ["wall", "wall"]}, "names 'wall' twice"),
    "forty": ({"classes": [f"class {n}" for n in range(40)]}, "take for NYU40's"),
    "shares": ({"splits": {"fractions": {"val": 0.5, "test": 0.5}}}, "nothing is left to train on"),
    "shares and lists": ({"splits": {"fractions": {"val": 0.5}, "test": "a.txt"}}, "both divide"),
    "part": ({"splits": {"train": 5}}, r"key `splits\.train` is 5; name a list file, or scenes"),
    "no part": ({"splits": {}}, "names no part"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_file_key_and_fix(tmp_path, fault):
    keys, said = FAULTS[fault]
    with pytest.raises(ValueError, match=said) as caught:
        read_description(describe(tmp_path, **keys))
    assert str(caught.value).startswith(str(tmp_path / "dataset.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [\n", r"dataset\.yaml:\d+: "),
        ("", "has no content"),
        ("- a\n", "holds no keys"),
        (b"name: \xff", "UTF-8"),
    ],
)
def test_a_file_that_is_no_description(tmp_path, text, said):
    (tmp_path / "dataset.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=said):
        read_description(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder: name the one that holds dataset\.yaml"):
        FolderDataModule(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"dataset\.yaml is missing: write one as docs/own_data\.md shows"):
        FolderDataModule(str(tmp_path))


def test_what_relative_truth_is_aligned_by(tmp_path):
    def alignment(**keys):
        return read_description(describe(tmp_path, **keys)).alignment

    assert alignment() == "none"
    assert alignment(truth="scale") == "median"
    assert alignment(truth="scale_and_shift") == "least_squares"
    assert alignment(truth="scale_and_shift", depth={"coding": "inverse"}) == "inverse_least_squares"
