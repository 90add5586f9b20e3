"""A limit on addresses (`ulimit -v`) that is too low for what the commands load."""

from experiments.config.compose import ConfigError

#: Bytes below which PyTorch, OpenCV and their threads run out of addresses while they load, some by a crash.
NEEDED = 5 * 2**30


def address_limit() -> int | None:
    """Return bytes of addresses that this process may use; None without a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def check_address_limit() -> None:
    """Stop before a library crashes.

    Raises:
        ConfigError: if the limit is below :data:`NEEDED`.
    """
    limit = address_limit()
    if limit is not None and limit < NEEDED:
        raise ConfigError(
            f"`ulimit -v` lets this process use {limit / 2**30:.1f} GiB of addresses; PyTorch and OpenCV need "
            f"{NEEDED // 2**30} before the first frame is read, most of it never filled: `ulimit -v unlimited`, and "
            "bound memory with your batch system or container instead"
        )


def limit_hint() -> str:
    """Return what to add where memory is full: the limit, if there is one; it bounds addresses, not memory."""
    limit = address_limit()
    return "" if limit is None else f"; `ulimit -v` is {limit / 2**30:.1f} GiB: raise it first"
