"""Which arguments a class takes."""

from functools import cache


@cache
def argument_names(cls: type) -> frozenset[str]:
    """Return the names that a class takes in ``init_args``: its own, and those that it passes on as ``**kwargs``."""
    from jsonargparse import ArgumentParser  # only here: most commands start without it

    keys = ArgumentParser().add_class_arguments(cls, "cls", fail_untyped=False)
    return frozenset(key.split(".")[1] for key in keys)
