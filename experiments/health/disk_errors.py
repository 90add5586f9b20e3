"""What to do about disks: full, read-only, of others, or locked by another program."""

import errno
import os
import re
import shutil
from pathlib import Path

#: What to do, by error number; where files of a run are written elsewhere, the cache's has a variable.
FIXES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "your quota is used up: make room",
    errno.EROFS: "the disk is mounted read-only",
    errno.EACCES: "give yourself the right to write there",
    errno.EPERM: "give yourself the right to write there",
    errno.EIO: "the disk fails: look at the system's log",
    errno.EFBIG: "raise `ulimit -f`",
    errno.EMFILE: "raise `ulimit -n`, or lower `data.init_args.num_workers`",
    errno.ENFILE: "the machine has too many open files: end other programs",
    errno.ENAMETOOLONG: "take a shorter name (`--run.name`)",
}

#: Those after which another folder helps.
ELSEWHERE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})

#: In the place of its name.
UNKNOWN = "a file that was being written"


def explain_disk(error: BaseException) -> str | None:
    """Return one line for an error of the system that tells its number, also inside the text of a library.

    Returns:
        The file, what is wrong with it and what to do; None for any other error, such as one that says so already.
    """
    text = str(error)
    if "unable to lock file" in text:
        return (
            f"{_file(error, text)}: another program has it open, or its file system has no locks: close that program, "
            "or set HDF5_USE_FILE_LOCKING=FALSE"
        )
    found = re.search(r"\[Errno (\d+)\]|errno = (\d+)", text)
    code = int(found[1] or found[2]) if found else 0
    if code not in FIXES:
        return None
    file = _file(error, text)
    return f"{file}: {os.strerror(code)}{_free(file, code)}; {_fix(file, code)}"


def _file(error: BaseException, text: str) -> str:
    """The file that an error is about, as far as it tells: of a file that is open already the system does not."""
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy, where it goes
    if named is None and (found := re.search(r"(?:file)?name = '([^']+)'|\[Errno \d+\] [^:]+: '([^']+)'", text)):
        named = found[1] or found[2]
    return os.fsdecode(named) if isinstance(named, str | bytes | os.PathLike) else UNKNOWN


def _free(file: str, code: int) -> str:
    folder = Path(file).parent
    if code != errno.ENOSPC or file == UNKNOWN or not folder.is_dir():
        return ""
    return f", {shutil.disk_usage(folder).free / 2**30:.1f} GiB are free"


def _fix(file: str, code: int) -> str:
    if code not in ELSEWHERE:
        return FIXES[code]
    from datamodules.storage.cache import cache_folder

    if Path(file).absolute().is_relative_to(cache_folder().absolute()):
        return f"{FIXES[code]}, or set SEGDEPTH_CACHE to another folder"
    return f"{FIXES[code]}, or write elsewhere (runs: `--run.root`, caches: SEGDEPTH_CACHE, temporary files: TMPDIR)"
