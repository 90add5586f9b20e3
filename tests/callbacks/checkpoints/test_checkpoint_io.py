"""Checkpoint files under full disks, kills and damage."""

import errno
import os
import random

import pytest
import torch

from callbacks.checkpoints.checkpoint_io import (
    AtomicCheckpointIO,
    CheckpointError,
    DamagedCheckpointError,
    damage,
    load_checked,
    load_mapped,
    previous,
    remove_partial,
)


def write(path, value):
    AtomicCheckpointIO().save_checkpoint({"value": torch.full((1000,), float(value))}, path)


def read(path):
    return torch.load(path, weights_only=True)["value"][0].item()


def test_the_file_before_is_kept(tmp_path):
    for value in range(3):
        write(tmp_path / "new" / "last.ckpt", value)
        write(tmp_path / "new" / "best.ckpt", value)
    assert read(tmp_path / "new" / "last.ckpt") == 2
    assert read(previous(tmp_path / "new" / "last.ckpt")) == 1
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"best.ckpt", "last.ckpt", "last-previous.ckpt"}


@pytest.mark.parametrize("place", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, place):
    path = tmp_path / "last.ckpt"
    write(path, 1)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if place == "write":  # in the middle of torch's own writing
        monkeypatch.setattr(torch.serialization._open_zipfile_writer_buffer, "__init__", full)
    else:
        monkeypatch.setattr(*{"fsync": (os, "fsync", full), "replace": (type(path), "replace", full)}[place])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: No space left on device, [\d.]+ GiB are free"):
        write(path, 2)
    monkeypatch.undo()
    assert read(path) == 1
    assert damage(path) is None
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_device_that_is_full_is_named(tmp_path):
    (tmp_path / "last.ckpt.partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match="No space left on device"):
        write(tmp_path / "last.ckpt", 1)
    assert not (tmp_path / "last.ckpt").exists()


def test_damage_is_seen(tmp_path):
    path = tmp_path / "last.ckpt"
    write(path, 1)
    assert damage(path) is None
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-30], b"<html>" + whole[6:]):
        path.write_bytes(content)
        assert damage(path)
    path.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    assert "checksum" in str(damage(path))


def test_what_a_kill_left_is_removed(tmp_path):
    write(tmp_path / "last.ckpt", 1)
    (tmp_path / "best.ckpt.partial").write_bytes(b"half")
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_every_flipped_bit_is_found_or_harmless(tmp_path):
    """In the archive's directory too, where readers raise errors of all kinds, and torch's disagrees with Python's."""
    path, draw = tmp_path / "last.ckpt", random.Random(0)
    content = {"state_dict": {f"a{i}": torch.randn(5, 3) for i in range(4)}, "epoch": 3, "note": ["a", 1.5]}
    AtomicCheckpointIO().save_checkpoint(content, path)
    whole, found = path.read_bytes(), 0
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        if reason := damage(path):
            found += 1
            assert "\n" not in reason
            continue
        read = torch.load(path, weights_only=True)
        assert all(torch.equal(read["state_dict"][name], value) for name, value in content["state_dict"].items())
        assert (read["epoch"], read["note"]) == (3, ["a", 1.5])
    assert found > 200


def test_what_loading_raises_names_the_file(tmp_path):
    path = tmp_path / "best.ckpt"
    write(path, 1)
    whole = path.read_bytes()
    for cut in (0, 100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        for load in (AtomicCheckpointIO().load_checkpoint, load_checked, load_mapped):
            with pytest.raises(DamagedCheckpointError, match=r"best\.ckpt: "):
                load(path)
