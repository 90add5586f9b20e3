"""Names that become folders: of experiments, runs and methods."""

from experiments.config.error import ConfigError

#: What file systems take in one name, bytes; W&B takes half of it for a run.
LONGEST = 128


def check_folder_name(option: str, name: str | None) -> None:
    """Check that a name makes one folder, in its parent and nowhere else.

    Args:
        option: that sets the name, for the message.
        name: None is named later, by the suite.

    Raises:
        ConfigError: if it is empty, has a slash, a backslash or a control character, is too long, or is `.` or `..`.
    """
    if name is None:
        return
    if not name.strip() or name in (".", ".."):
        raise ConfigError(f"`{option} {name}`: not a name for a folder; take letters, digits, `.`, `_` and `-`")
    if wrong := next((sign for sign in name if sign in "/\\" or not sign.isprintable()), None):
        raise ConfigError(
            f"`{option} {name}`: {wrong!r} cannot be in the name of a folder; `--run.root` says where it lies"
        )
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST:
        raise ConfigError(f"`{option} {name[:40]}…`: longer than {LONGEST} bytes; take a shorter one")
