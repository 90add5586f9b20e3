"""List files as people have them, made on any system."""

import unicodedata

import pytest

from datamodules.files import number_lines, require_files
from datamodules.nyuv2.trees import read_bts, read_marigold
from tests.datamodules.nyuv2.test_trees import write_frame

NFC = "k\u00fcche_0001"
NFD = unicodedata.normalize("NFD", NFC)


def listed(root, text, encoding="utf-8"):
    (root / "nyudepthv2_test_files_with_gt.txt").write_bytes(text.encode(encoding))
    frames = read_bts(root, "test")
    require_files(file for frame in frames for file in (frame.image, frame.depth))
    return [(frame.scene, frame.frame) for frame in frames]


@pytest.mark.parametrize("folder", ["living room 1", NFC, "a.b"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", ["/", "\\"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_any_system(tmp_path, folder, end, separator, encoding):
    for number in (45, 46):
        write_frame(tmp_path, f"{folder}/rgb_{number:05d}.jpg", f"{folder}/sync depth_{number:05d}.png", (4, 4))
    pair = [f"/{folder}/rgb_{{0}}.jpg", f"/{folder}/sync depth_{{0}}.png", "518.8579"]
    lines = [" ".join(pair).format(number).replace("/", separator) for number in ("00045", "00046")]
    lines.insert(1, f"{folder}/rgb_00047.jpg None 518.8579")
    assert listed(tmp_path, end.join(["", *lines, ""]), encoding) == [(folder, 45), (folder, 46)]


@pytest.mark.parametrize(("there", "named"), [(NFC, NFD), (NFD, NFC)])
def test_accents_of_either_form(tmp_path, there, named):
    write_frame(tmp_path, f"{there}/rgb_00045.jpg", f"{there}/d_00045.png", (4, 4))
    assert listed(tmp_path, f"{named}/rgb_00045.jpg {named}/d_00045.png 518.8\n") == [(there, 45)]


def test_marigold_with_blanks(tmp_path):
    names = [f"test/my kitchen/{kind}_0046.png" for kind in ("rgb", "depth", "filled")]
    (tmp_path / "filename_list_test.txt").write_text(" ".join(names))
    (frame,) = read_marigold(tmp_path, "test")
    assert (frame.scene, frame.index, frame.depth) == ("my kitchen", 45, tmp_path / names[1])


def test_what_cannot_be_read_is_said(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("a\nk\u00fcche/rgb_1.jpg\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2 is not UTF-8 text; save the file as UTF-8"):
        number_lines(path, "")
    write_frame(tmp_path, "den/rgb_00045.JPG", "den/d_00045.png", (4, 4))
    with pytest.raises(FileNotFoundError, match=r"rgb_00045\.jpg is missing \(there is rgb_00045\.JPG: cap"):
        listed(tmp_path, "den/rgb_00045.jpg den/d_00045.png 518.8\n")


def test_a_letter_that_unicode_takes_for_the_end_of_a_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\u2028b\nc\x85d\n", encoding="utf-8")
    assert [line for _, line in number_lines(path, "")] == ["a\u2028b", "c\x85d"]
