"""Where the files of a frame are: templates such as `{scene}/rgb/{frame}`, matched and filled in.

`{frame}` is one name, `{scene}` a folder or several below each other; without one, `{scene}/` falls away. A template
without an ending takes any that files of its kind may have.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

#: Templates where `dataset.yaml` says nothing else.
DEFAULT_TEMPLATES = {
    kind: f"{kind}/{{scene}}/{{frame}}" for kind in ("rgb", "depth", "semantics", "instances", "masks")
}

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm", ".webp")
DEPTH_ENDINGS = (".png", ".npy", ".npz", ".exr", ".tif", ".tiff", ".pfm")
LABEL_ENDINGS = (".png", ".npy", ".npz", ".tif", ".tiff", ".bmp")

#: Endings by kind.
ENDINGS = {
    "rgb": IMAGE_ENDINGS, "depth": DEPTH_ENDINGS, "semantics": LABEL_ENDINGS, "instances": LABEL_ENDINGS,
    "masks": LABEL_ENDINGS, "camera": (".txt", ".csv"),
}  # fmt: skip

_SCENE, _FRAME = "{scene}", "{frame}"


def check_template(template: str, place: str) -> str:
    """Return a template with plain slashes.

    Args:
        template: as it is written.
        place: file and key, for the message.

    Raises:
        ValueError: if it leaves the folder, or has other words in braces than `{scene}` and `{frame}`.
    """
    plain = template.replace("\\", "/").strip("/")
    if ".." in plain.split("/") or PurePosixPath(template).is_absolute():
        raise ValueError(f"{place} is {template!r}, which leaves the folder; link the files into it")
    words = set(re.findall(r"\{[^}]*\}", plain))
    if unknown := words - {_SCENE, _FRAME}:
        raise ValueError(f"{place} is {template!r}: there is no {min(unknown)}; use {_SCENE} and {_FRAME}")
    return plain


def has_ending(template: str, endings: Sequence[str]) -> bool:
    """Return whether a template says the ending of its files."""
    return template.lower().endswith(tuple(endings))


def pattern(template: str, endings: Sequence[str]) -> re.Pattern[str]:
    """Return what paths of a template's files match, with the groups ``scene`` and ``frame``."""
    parts = re.split(r"(\{scene\}/|\{scene\}|\{frame\})", template)
    known = {
        f"{_SCENE}/": r"(?:(?P<scene>.+)/)?",
        _SCENE: r"(?P<scene>.+)",
        _FRAME: r"(?P<frame>[^/]+)",
    }
    text = "".join(known.get(part, re.escape(part)) for part in parts)
    if not has_ending(template, endings):
        text += f"(?:{'|'.join(map(re.escape, endings))})"
    return re.compile(text, re.IGNORECASE)


def fill(template: str, scene: str, frame: str) -> str:
    """Return the path of a frame's file; an empty scene falls away with its slash."""
    path = template.replace(f"{_SCENE}/", f"{scene}/" if scene else "").replace(_SCENE, scene)
    return path.replace(_FRAME, frame)
