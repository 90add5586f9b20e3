"""Commands as functions of their arguments, which raise what goes wrong instead of printing it."""

from collections.abc import Callable, Sequence

from experiments.__main__ import run


def command(name: str) -> Callable[..., None]:
    """A command by its name."""

    def call(arguments: Sequence[str] = ()) -> None:
        run(name, list(arguments))

    return call
