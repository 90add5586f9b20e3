"""A sweep file in the format of `wandb sweep`, and the points of its search space.

What describes a search is read here: ``method``, ``metric``, ``parameters``, ``command``, ``run_cap``. A parameter's
name is the flag it sets, as in ``wandb agent``: ``model.init_args.skip`` becomes ``--model.init_args.skip=VALUE``.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config.arguments import named_file
from experiments.config.compose import EXPERIMENTS, ConfigError
from experiments.config.yaml_file import read_yaml_file

SWEEPS = EXPERIMENTS / "sweeps"

#: Name of a parameter -> its value.
Point = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A search over hyperparameters.

    Attributes:
        name: stem of the file.
        path: path of the file.
        method: ``grid`` or ``random``.
        metric: metric that ranks the runs, or "".
        goal: ``minimize`` or ``maximize``.
        parameters: dotted name of a flag -> how its values are chosen.
        command: what a run is started with before the flags of its point: ``exp --config ...``.
        run_cap: most points that are run; None for no limit.
    """

    name: str
    path: Path
    method: str
    metric: str
    goal: str
    parameters: dict[str, dict[str, Any]]
    command: tuple[str, ...]
    run_cap: int | None

    def points(self, count: int | None = None, seed: int = 0) -> list[Point]:
        """Return the points in the order in which they are run, each once.

        Args:
            count: most points to return; None for ``run_cap``, or for all points of a grid without one.
            seed: seed of a random search.

        Raises:
            ConfigError: naming the parameter that the method cannot use.
        """
        count = self.run_cap if count is None else count
        if self.method == "grid":
            values = {name: _grid_values(self.path, name, chosen) for name, chosen in self.parameters.items()}
            grid = (dict(zip(values, row, strict=True)) for row in itertools.product(*values.values()))
            return _distinct(grid)[:count]
        if count is None:
            raise ConfigError(f"{self.path}: a random search needs an end: `--count N`, or `run_cap: N` in the file")
        generator = random.Random(seed)
        drawn = (
            {name: _draw(self.path, name, chosen, generator) for name, chosen in self.parameters.items()}
            for _ in range(count)
        )
        return _distinct(drawn)


def flags(point: Point) -> list[str]:
    """Return the command line of a point, as ``wandb agent`` writes it."""
    return [f"--{name}={value}" for name, value in point.items()]


def find_sweep(name: str) -> Path:
    """Return the path of a sweep file: a file, or the name of one that comes with the suite.

    Raises:
        ConfigError: if there is none, with the list of those that there are.
    """
    return named_file("sweep", name, SWEEPS)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises:
        ConfigError: if it is not one, or searches in a way that needs W&B's server, naming the key.
    """
    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a sweep is a mapping with `method` and `parameters`")
    method = content.get("method")
    if method == "bayes":
        raise ConfigError(f"{path}: `method: bayes` needs W&B's server: `wandb sweep {path}`, then `wandb agent ID`")
    if method not in ("grid", "random"):
        raise ConfigError(f"{path}: key `method`: need grid or random, got {method!r}")
    if not isinstance(parameters := content.get("parameters"), dict) or not parameters:
        raise ConfigError(f"{path}: key `parameters`: need a mapping from flags to `values`")
    metric = content.get("metric") or {}
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise ConfigError(f"{path}: key `metric.goal`: need minimize or maximize, got {goal!r}")
    cap = content.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise ConfigError(f"{path}: key `run_cap`: need a positive integer, got {cap!r}")
    return Sweep(
        name=path.stem,
        path=path,
        method=method,
        metric=metric.get("name", ""),
        goal=goal,
        parameters=dict(_flatten(path, parameters)),
        command=_own_command(path, content.get("command", [])),
        run_cap=cap,
    )


def _flatten(path: Path, parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield nested ``parameters`` under dotted names."""
    for key, chosen in parameters.items():
        name = f"{prefix}{key}"
        if not isinstance(chosen, dict):
            raise ConfigError(f"{path}: parameter `{name}`: need a mapping such as `values: [...]`, got {chosen!r}")
        if isinstance(nested := chosen.get("parameters"), dict):
            yield from _flatten(path, nested, f"{name}.")
        else:
            yield name, chosen


def _own_command(path: Path, command: Any) -> tuple[str, ...]:
    """Return the words of ``command`` from ``exp`` on; the start of the program differs from that of W&B's agent."""
    words = [str(word) for word in command] if isinstance(command, list) else []
    if "exp" not in words or "${args}" not in words:
        raise ConfigError(
            f"{path}: key `command`: need [${{env}}, ${{program}}, exp, ..., ${{args}}] with `program: segdepth`"
        )
    return tuple(word for word in words[words.index("exp") :] if word != "${args}")


def _grid_values(path: Path, name: str, chosen: Mapping[str, Any]) -> Sequence[Any]:
    """Return all values of a parameter.

    A null has no form on the command line that W&B's agent and jsonargparse agree on: it writes None.
    """
    values = [chosen["value"]] if "value" in chosen else chosen.get("values")
    if not isinstance(values, list) or not values:
        integers = all(isinstance(chosen.get(bound), int) for bound in ("min", "max"))
        if not integers or chosen.get("distribution", "int_uniform") != "int_uniform":
            raise ConfigError(f"{path}: parameter `{name}`: a grid needs `values: [...]` or `value: ...`")
        values = list(range(chosen["min"], chosen["max"] + 1))
    if None in values:
        raise ConfigError(f"{path}: parameter `{name}`: write null in quotes ('null'), as it stands on a command line")
    return values


def _draw(path: Path, name: str, chosen: Mapping[str, Any], generator: random.Random) -> Any:
    """Draw a value of a parameter in a random search, with W&B's defaults."""
    if "value" in chosen or "values" in chosen:
        values = _grid_values(path, name, chosen)
        return generator.choices(values, weights=chosen.get("probabilities"))[0]
    low, high = chosen.get("min"), chosen.get("max")
    for bound in ("min", "max"):
        if isinstance(text := chosen.get(bound), str):
            raise ConfigError(
                f"{path}: parameter `{name}`: `{bound}: {text}` is text to YAML; a number with an exponent needs a "
                "point in it, as 1.0e-5"
            )
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low > high:
        raise ConfigError(f"{path}: parameter `{name}`: need `values`, `value`, or `min` and `max`")
    integers = isinstance(low, int) and isinstance(high, int)
    distribution = chosen.get("distribution", "int_uniform" if integers else "uniform")
    if distribution == "int_uniform" and integers:
        return generator.randint(int(low), int(high))
    if distribution == "uniform":
        return generator.uniform(low, high)
    if distribution == "log_uniform_values" and low > 0:
        return math.exp(generator.uniform(math.log(low), math.log(high)))
    raise ConfigError(
        f"{path}: parameter `{name}`: `distribution: {distribution}` between {low} and {high} cannot be drawn here; "
        "there are int_uniform, uniform and log_uniform_values (of positive bounds)"
    )


def _distinct(points: Iterator[Point]) -> list[Point]:
    """Return points without repetitions, in order."""
    return list({tuple(flags(point)): point for point in points}.values())
