"""Folders that runs write, data that they read, weights that they start from, and what W&B has not seen yet."""

import netrc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from experiments.health.section import PATIENCE, Section, bounded

#: Free bytes below which a run of the quick profile stops, and below which one of a paper's size may.
NO_SPACE, LITTLE_SPACE = 2**28, 5 * 2**30

#: W&B's modes.
MODES = ("online", "offline", "disabled", "shared")

#: Characters of a W&B key, at least.
KEY_LENGTH = 40


def folders(runs: Path) -> Section:
    """Return whether runs, cache and temporary files can be written, and how much room there is."""
    from datamodules.storage.cache import cache_folder

    section = Section("folders")
    places = {
        "runs": (runs, "write elsewhere: `--run.root FOLDER`"),
        "cache": (cache_folder(), "set SEGDEPTH_CACHE to another folder"),
        "temporary": (Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
    }
    for name, (folder, fix) in places.items():
        try:
            bounded(lambda folder=folder: _try_writing(folder))  # type: ignore[misc]
            free = bounded(lambda folder=folder: shutil.disk_usage(_existing(folder)).free)  # type: ignore[misc]
        except OSError as error:  # TimeoutError is one
            section.facts[name] = f"{folder}: cannot be written"
            section.stop(f"{folder} cannot be written ({error.strerror or error})", fix)
            continue
        section.facts[name] = f"{folder}: {free / 2**30:.1f} GiB free"
        if free < LITTLE_SPACE:
            note = section.stop if free < NO_SPACE else section.warn
            note(f"{folder} has {free / 2**30:.1f} GiB free; runs keep two checkpoints each", f"make room, or {fix}")
    return section


def data() -> Section:
    """Return what there is below DATA_ROOT; `segdepth data status` has the whole story."""
    section, configured = Section("data"), os.environ.get("DATA_ROOT")
    if not configured:
        section.facts["DATA_ROOT"] = "not set: experiments take Rooms, the built-in set"
        return section
    root = Path(configured).expanduser()
    section.facts["DATA_ROOT"] = str(root)
    try:
        if not bounded(root.is_dir):
            section.stop(
                f"DATA_ROOT={configured} is not a folder", "set it to the folder that holds nyuv2/, or unset it"
            )
            return section
    except TimeoutError as error:
        section.stop(f"DATA_ROOT={configured}: {error}", "mount the drive again")
        return section
    from experiments.datasets.inventory import SOURCES, find

    for source in SOURCES:
        try:
            finding = bounded(lambda source=source: find(source, root), PATIENCE / 2)  # type: ignore[misc]
        except TimeoutError:
            section.facts[source.folder] = "there is much to count: `segdepth data status`"
            continue
        counts = [f"{name} {count:,} frames" for name, count in finding.frames.items()]
        missing = f"incomplete: {', '.join(finding.missing)}" if finding.present else "nothing"
        section.facts[source.folder] = ("Rooms: " if finding.synthetic else "") + (", ".join(counts) or missing)
        note = section.stop if source.folder == "nyuv2" else section.warn
        for line in finding.damaged:
            note(line, "segdepth data verify")
        if source.folder == "nyuv2" and not finding.complete and not finding.damaged:
            note(
                f"{finding.folder} lacks {', '.join(finding.missing)}",
                "`segdepth data status` says where to get it; without DATA_ROOT experiments take Rooms",
            )
    return section


def weights() -> Section:
    """Return whether the backbones of the experiments' paper profiles are in Hugging Face's cache."""
    from huggingface_hub import constants

    from experiments.health.hub_weights import needed_weights

    section = Section("weights", {"cache": constants.HF_HUB_CACHE})
    for need in needed_weights():
        section.facts[need.name] = "cached" if need.cached else "not cached"
        if not need.cached:
            section.warn(
                f"pretrained weights of {need.name} are not here ({', '.join(need.experiments)}, PROFILE=paper)",
                "the first run fetches them; without a network, point HF_HOME to a cache that has them, or give them "
                "from a file (`segdepth weights --help`)",
            )
    return section


def tracking(runs: Path) -> Section:
    """Return whether W&B gets the runs, and which ones still wait. No key is printed, and nobody is asked."""
    import wandb

    section, mode = Section("W&B", {"version": wandb.__version__}), os.environ.get("WANDB_MODE", "online")
    key = os.environ.get("WANDB_API_KEY") or _netrc_key()
    if mode not in MODES:
        section.stop(f"WANDB_MODE={mode} is no mode of W&B", f"one of {', '.join(MODES)}")
    if key and len(key) < KEY_LENGTH:
        section.warn(f"the W&B key has {len(key)} characters: need {KEY_LENGTH} or more", "wandb login")
    sent = "online" if mode == "online" and key else "offline" if mode in ("online", "offline") else mode
    section.facts["runs are"] = f"{sent} ({'a key is set' if key else 'no key: `wandb login` sets one'})"
    unsent = list(_unsent(runs))
    section.facts["not sent"] = f"{len(unsent)} offline part(s) below {runs}"
    if unsent and sent == "online":
        section.warn(f"{len(unsent)} offline part(s) were never sent", f"wandb sync {unsent[0].parent} (and so on)")
    return section


def _unsent(runs: Path) -> Iterator[Path]:
    """Offline parts of runs that `wandb sync` has not marked."""
    for part in sorted(runs.glob("*/*/wandb/offline-run-*")):
        if not next(part.glob("*.wandb.synced"), None):
            yield part


def _netrc_key() -> str | None:
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        entry = netrc.netrc(os.environ.get("NETRC") or Path("~/.netrc").expanduser()).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return entry[2] if entry else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())


def _try_writing(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=_existing(folder)) as file:
        file.write(b"0" * 4096)
        file.flush()
