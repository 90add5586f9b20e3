"""Commands as functions of their arguments, which raise what goes wrong instead of printing it."""

from collections.abc import Callable, Sequence

from experiments.__main__ import main, run


def command(name: str) -> Callable[..., None]:
    """A command by its name."""

    def call(arguments: Sequence[str] = ()) -> None:
        run(name, list(arguments))

    return call


def infer(*arguments, output="out"):
    """Run `segdepth infer` with the run `run` and the output folder `out`, or another, and return its exit status."""
    try:
        main(["infer", "run", *map(str, arguments), "--output", output])
    except SystemExit as end:
        return end.code
    return 0
