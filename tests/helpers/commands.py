"""Commands as functions of their arguments, which raise what goes wrong instead of printing it."""

from collections.abc import Callable, Sequence

from experiments.__main__ import main, run


def command(name: str) -> Callable[..., None]:
    """A command by its name."""

    def call(arguments: Sequence[str] = ()) -> None:
        run(name, list(arguments))

    return call


def infer(*arguments):
    """Run `segdepth infer` with the run `run` and the output `out`, and return its exit status."""
    try:
        main(["infer", "run", *map(str, arguments), "--output", "out"])
    except SystemExit as end:
        return end.code
    return 0
