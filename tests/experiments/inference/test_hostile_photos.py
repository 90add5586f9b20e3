"""Whatever `segdepth infer` is given ends in files or in a clear line; nothing is overwritten, and no code is run."""

import os
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from experiments.inference import photo_run as command
from tests.helpers.commands import infer
from tests.helpers.stub_predictor import tiny_predictor

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
PIXELS[:20, :20] = 250  # tells how it is turned


class RunsCode:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("code_was_run",)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to work in, with a predictor that needs no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load", lambda *run, **options: tiny_predictor())
    return tmp_path


def saved(name, image=None, **options):
    (image or Image.fromarray(PIXELS)).save(name, **options)
    return name


def written(name, content):
    Path(name).write_bytes(content)
    return name


def cut(name, **options):
    content = Path(saved(name, **options)).read_bytes()
    return written(name, content[: len(content) // 2])


def png_header(height, width):
    """A PNG file that declares a size and has one row."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 3 * min(width, 10)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


#: What cannot be predicted: how it is made, and a part of what is said.
BROKEN = {
    "empty": (lambda: written("empty.jpg", b""), "0 bytes"),
    "text": (lambda: written("text.png", b"no image at all"), "truncated, or not an image"),
    "one_pixel": (lambda: saved("one.png", Image.new("RGB", (1, 1))), "1x1 pixels: too small"),
    "a_line": (lambda: saved("line.png", Image.new("RGB", (5000, 1))), "1x5000 pixels: too small"),
    "a_band": (lambda: saved("band.png", Image.new("RGB", (5000, 10))), "too narrow"),
    "bomb": (lambda: written("bomb.png", png_header(20_000, 20_000)), "pixels"),
    "larger_bomb": (lambda: written("bomb2.png", png_header(9_000, 12_000)), "more than 100,000,000"),
    "gif_bomb": (
        lambda: written("bomb.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;"),
        "pixels",
    ),
    "cut_jpeg": (lambda: cut("cut.jpg"), "truncated"),
    "cut_png": (lambda: cut("cut.png"), "truncated"),
    "cut_webp": (lambda: cut("cut.webp"), "cut.webp"),
    "rows_missing": (lambda: written("rows.png", png_header(40, 60)), "rows.png"),
    "pickle": (lambda: written("pickle.png", pickle.dumps(RunsCode())), "truncated, or not an image"),
    "cut_video": (lambda: written("film.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom\0\0"), "not a video"),
    "heif": (lambda: written("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "HEIF"),
    "postscript": (lambda: written("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"), "not an image"),
    "floats": (lambda: saved("floats.tif", Image.fromarray(PIXELS[..., 0].astype(np.float32))), "floating-point"),
    "dangling_link": (lambda: os.symlink("nowhere", "link.jpg") or "link.jpg", "is missing"),
    "pipe": (lambda: os.mkfifo("pipe.jpg") or "pipe.jpg", "is no file"),
    "device": (lambda: "/dev/zero", "is no file"),
}

#: What can: how it is made, and the very pixels that are seen, if it is not those of `PIXELS`.
WHOLE = {
    "cmyk": (lambda: saved("cmyk.jpg", Image.fromarray(PIXELS).convert("CMYK"), quality=95), None),
    "grey": (lambda: saved("grey.png", Image.fromarray(PIXELS).convert("L")), None),
    "one_bit": (lambda: saved("bit.png", Image.fromarray(PIXELS).convert("1")), None),
    "deep_grey": (
        lambda: saved("deep.png", Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)),
        np.repeat(PIXELS[..., :1], 3, axis=2),
    ),
    "opaque": (lambda: saved("opaque.png", Image.fromarray(PIXELS).convert("RGBA")), PIXELS),
    "transparent": (lambda: saved("glass.png", Image.new("RGBA", (60, 40), (9, 9, 9, 0))), np.full_like(PIXELS, 255)),
    "palette": (lambda: saved("palette.png", Image.fromarray(PIXELS).quantize(8)), None),
    "animation": (
        lambda: saved("a.gif", Image.new("L", (60, 40), 7), save_all=True, append_images=[Image.new("L", (60, 40))]),
        np.full_like(PIXELS, 7),
    ),
    "broken_exif": (lambda: saved("exif.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), None),
    "names": (lambda: saved("мой дом (1) %s é\n.png"), PIXELS),
    "wrong_ending": (lambda: Path(saved("x.png")).rename("photo.txt").name, PIXELS),
    **{
        f"turned_{number}": (
            lambda number=number: saved(f"turned{number}.png", exif=exif(number)),
            {
                2: PIXELS[:, ::-1], 3: PIXELS[::-1, ::-1], 4: PIXELS[::-1], 5: PIXELS.transpose(1, 0, 2),
                6: np.rot90(PIXELS, -1), 7: PIXELS[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(PIXELS),
            }[number],
        )
        for number in range(2, 9)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_photo_is_named_at_the_end_and_others_are_predicted(place, capsys, name):
    make, said = BROKEN[name]
    broken = make()
    good = saved("good.png")
    assert infer(broken, good) == 1
    error = capsys.readouterr().err
    assert f"nothing was made of 1 of 2 {'files' if name == 'cut_video' else 'photos'}:" in error
    (line,) = [line for line in error.splitlines() if line.startswith("  ")]
    assert said in line
    assert os.path.basename(broken) in line
    assert sorted(os.listdir("out")) == ["good"]
    assert not os.path.exists("code_was_run")


@pytest.mark.parametrize("name", WHOLE)
def test_photos_of_every_kind_are_predicted_as_they_are_seen(place, monkeypatch, name):
    make, expected = WHOLE[name]
    results = []
    finish = command.PhotoWork.finish
    monkeypatch.setattr(
        command.PhotoWork, "finish", lambda *given: results.append(given[2].shown[0].image) or finish(*given)
    )
    assert infer(make()) == 0
    (image,) = results
    seen = image.permute(1, 2, 0).numpy()
    if expected is None:
        expected = PIXELS
        assert seen.shape == PIXELS.shape
        assert abs(seen[:15, :15].mean() - PIXELS[:15, :15].mean()) < 16
    else:
        np.testing.assert_array_equal(seen, expected)
    (folder,) = Path("out").iterdir()
    depth = cv2.imread(str(folder / "depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert depth.shape == expected.shape[:2]


def test_a_moving_picture_is_said_to_be_one(place, capsys):
    assert infer(WHOLE["animation"][0]()) == 0
    assert "a.gif: the first of 2 pictures in the file" in capsys.readouterr().out


def test_links_in_a_circle_come_to_an_end_and_results_are_no_photos(place):
    os.makedirs("photos/inner")
    os.symlink("..", "photos/inner/up")
    os.symlink("photos", "also")
    saved("photos/a.png")
    saved("photos/inner/b.jpg")
    saved("photos/.hidden.png")
    assert infer("photos") == 0
    assert sorted(os.listdir("out")) == ["a", "b"]
    assert infer(".", "--no_pictures") == 1  # other options: what is there stays, and is not taken for photos
    assert sorted(os.listdir("out")) == ["a", "b"]


@pytest.mark.parametrize("content", [pickle.dumps(RunsCode()), b"", b"text", None])
def test_what_is_no_checkpoint_is_refused_and_runs_no_code(tmp_path, monkeypatch, capsys, content):
    monkeypatch.chdir(tmp_path)
    saved("good.png")
    if content is None:
        torch.save({"state_dict": RunsCode(), "pytorch-lightning_version": "2"}, "bad.ckpt")
    else:
        written("bad.ckpt", content)
    with pytest.raises(SystemExit, match="2"):
        main(["infer", "bad.ckpt", "good.png", "--output", "out"])
    (line, _) = capsys.readouterr().err.splitlines()
    assert line.startswith("segdepth: error: bad.ckpt: ")
    assert not os.path.exists("code_was_run")
    assert os.listdir("out") == []


def test_a_checkpoint_without_its_run_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2"}, "lone.ckpt")
    with pytest.raises(SystemExit, match="2"):
        main(["infer", "lone.ckpt", saved("good.png"), "--output", "out"])
    assert "lies in no run's folder; put the run's config.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nothing.jpg", "nothing/*.jpg", "folder"])
def test_names_that_stand_for_nothing(place, capsys, name):
    os.mkdir("folder")
    assert infer(name) == 2
    assert name in capsys.readouterr().err
    assert not os.path.exists("out")


def test_an_output_that_cannot_be_written(place, capsys):
    saved("good.png")
    written("out", b"mine")
    assert infer("good.png") == 2
    assert "--output out: cannot be written" in capsys.readouterr().err
    assert Path("out").read_bytes() == b"mine"
