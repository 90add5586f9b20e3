"""Files that appear whole or not at all."""

import errno
import os
import stat

import pytest

from datamodules.files import write_text_atomically, written_atomically


def test_a_file_appears_when_it_is_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "new" / "index.json"
    previous = os.umask(0o027)
    try:
        write_text_atomically(path, "größe")
    finally:
        os.umask(previous)
    assert path.read_text(encoding="utf-8") == "größe"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640  # as umask says; tempfile's would be 0o600
    assert list(path.parent.iterdir()) == [path]


def write_half(path, error):
    with written_atomically(path, "make room") as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "index.json"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_with_the_mend(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    message = r"index\.json: cannot be written \(No space left on device\); make room"
    with pytest.raises(OSError, match=message) as caught:
        write_half(tmp_path / "index.json", full)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
