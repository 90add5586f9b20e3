"""The commands of `segdepth`: one table, from which help, dispatch and completion are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from experiments.config.error import ConfigError
from experiments.config.suggest import nearest


@dataclass(frozen=True)
class Command:
    """A word after `segdepth`.

    Attributes:
        name: the word, or both of `data status`.
        summary: what it does, in a few words.
        example: a command line.
        function: ``module:function``, imported when the command runs; its signature makes the options. That of a
            command that `trains` takes the command's name and its arguments.
        trains: whether it is one of LightningCLI's subcommands, over experiment files.
        data_first: whether data sets may be named right behind it, without a flag.
        configures: sections of a configuration that its flags may change, such as ``data``.
        loads_torch: whether it loads PyTorch and OpenCV in any case.
        prints_only: whether it ends when nobody reads what it prints; others have more to do.
        subcommands: words that follow it, if any.
        default: the one of them that runs where none is named; by default the help is printed.
        notes: what `--help` says last.
    """

    name: str
    summary: str
    example: str
    function: str = "experiments.train.cli:run_trainer_command"
    trains: bool = False
    configures: tuple[str, ...] = ()
    data_first: bool = False
    loads_torch: bool = False
    prints_only: bool = False
    subcommands: tuple["Command", ...] = ()
    default: str = ""
    notes: str = ""

    def load(self) -> Callable[..., Any]:
        """Import the command's function."""
        module, _, function = self.function.partition(":")
        loaded: Callable[..., Any] = getattr(import_module(module), function)
        return loaded


NEXT_TIME = """\
Flags after `--` go to every run:   segdepth {example}

A run that is finished is not made again, one that was interrupted is resumed from its last checkpoint: give the same
command again, here or in another terminal or on another machine that sees the same folder."""

SERVER = "With W&B's server, the same files are for `wandb sweep FILE` and `wandb agent ID`."

LISTS = """\
`segdepth claims --list` shows every claim, what the paper's own tables say of it, and what finished runs say."""

DATA_NOTE = """\
A data set is a name as in `--config data/NAME`; --config FILE and --data.KEY VALUE change it, and --data_root FOLDER
takes the place of DATA_ROOT. `segdepth data COMMAND --help` lists a command's options."""

RUN_NOTE = """\
RUN is a run's folder, or an experiment: its newest run. `segdepth export COMMAND --help` lists a command's options."""

WEIGHTS_NOTE = """\
`segdepth weights` alone is `segdepth weights list`. A file needs no import: `--model.init_args.pretrained FILE`."""

_WEIGHTS = "experiments.health.weights"
_DATA = "experiments.datasets.data"
_EXPORT = "experiments.export.export"

COMMANDS: tuple[Command, ...] = (
    Command(
        "exp", "train, then test the best checkpoint", "segdepth exp --config shed_hybrid --data rooms", trains=True
    ),
    Command("fit", "train", "segdepth fit --config shed_hybrid", trains=True),
    Command(
        "validate", "metrics of a checkpoint on validation data",
        "segdepth validate --config shed_hybrid --ckpt_path best", trains=True,
    ),
    Command(
        "test", "metrics of a checkpoint on test data", "segdepth test --config shed_hybrid --ckpt_path best",
        trains=True,
    ),
    Command(
        "predict", "write a checkpoint's predictions", "segdepth predict --config shed_hybrid --ckpt_path best",
        trains=True,
    ),
    Command(
        "evaluate", "metrics of predictions of any program", "segdepth evaluate --predictions FOLDER --data nyuv2",
        "experiments.foreign.evaluate:evaluate", configures=("data", "protocol", "evaluation"), loads_torch=True,
    ),
    Command(
        "infer", "depth of photos of your own", "segdepth infer shed_hybrid photos/ --output out",
        "experiments.inference.infer:infer", loads_torch=True,
    ),
    Command(
        "export", "point clouds and pictures of a run", "segdepth export clouds shed_hybrid", loads_torch=True,
        subcommands=(
            Command(
                "export clouds", "point clouds of test frames as PLY files, and pictures of them",
                "segdepth export clouds shed_hybrid", f"{_EXPORT}:clouds", configures=("data", "model"),
            ),
            Command(
                "export hierarchies", "segment hierarchies of several runs side by side",
                "segdepth export hierarchies RUN_A RUN_B", f"{_EXPORT}:hierarchies", configures=("data", "model"),
            ),
            Command(
                "export program", "a method as one file that needs torch alone (torch.export)",
                "segdepth export program shed_hybrid", f"{_EXPORT}:program", configures=("data", "model"),
            ),
            Command(
                "export hub", "a folder for huggingface_hub: safetensors and model card",
                "segdepth export hub shed_hybrid", "experiments.inference.hub:hub",
            ),
        ),
        notes=RUN_NOTE,
    ),
    Command(
        "compare", "finished runs side by side", "segdepth compare shed_hybrid dpt_hybrid",
        "experiments.comparison.compare:compare", prints_only=True,
    ),
    Command(
        "table", "published results beside measured ones", "segdepth table shed/table2",
        "experiments.results.table:table", prints_only=True,
    ),
    Command(
        "sweep", "a grid of runs, resumable", "segdepth sweep shed_segments", "experiments.grid.sweep:sweep",
        notes=f"{NEXT_TIME.format(example='sweep shed_readings -- --data rooms --config profile/quick')} {SERVER}",
    ),
    Command(
        "ablation", "every row of a paper's tables, resumable", "segdepth ablation semantic_md",
        "experiments.grid.ablation:ablation",
        notes=NEXT_TIME.format(example="ablation semantic_md/table1 -- --data rooms"),
    ),
    Command(
        "claims", "a paper's claims, put to the test", "segdepth claims shed -- --data rooms",
        "experiments.judging.claims:claims",
        notes=f"{NEXT_TIME.format(example='claims shed -- --data rooms --config profile/claims')}\n{LISTS}",
    ),
    Command(
        "data", "state, check, copy and picture of the data", "segdepth data status", loads_torch=True,
        prints_only=True,
        subcommands=(
            Command(
                "data status", "what is found, what is missing and where to get it",
                "segdepth data status --data_root /data", f"{_DATA}:status",
            ),
            Command(
                "data verify", "read every frame, name every broken one", "segdepth data verify nyuv2",
                f"{_DATA}:verify", configures=("data",), data_first=True,
            ),
            Command(
                "data convert", "into a store that training reads fast",
                "segdepth data convert nyuv2 --output /fast/nyuv2", f"{_DATA}:convert", configures=("data",),
                data_first=True,
            ),
            Command(
                "data preview", "a sheet of frames, with depth and labels", "segdepth data preview nyuv2 --frames 8",
                f"{_DATA}:preview", configures=("data",), data_first=True,
            ),
            Command(
                "data rooms", "synthetic data in the layout of every data set",
                "segdepth data rooms --output rooms-data", "experiments.datasets.make_rooms:rooms",
            ),
        ),
        notes=DATA_NOTE,
    ),
    Command(
        "weights", "pretrained weights: what is needed, what is here", "segdepth weights", loads_torch=True,
        subcommands=(
            Command(
                "weights list", "what experiments need, and what cache and packages have", "segdepth weights list",
                f"{_WEIGHTS}:show",
            ),
            Command(
                "weights import", "a file into the hub's cache, for `pretrained: true`",
                "segdepth weights import resnet50.pth --for resnet50.a1_in1k", f"{_WEIGHTS}:take",
            ),
        ),
        default="weights list", notes=WEIGHTS_NOTE,
    ),
    Command(
        "new", "files to begin with", "segdepth new method my_method",
        subcommands=(
            Command(
                "new method", "network, module, experiment and test of a method", "segdepth new method my_method",
                "experiments.config.new_method:method",
            ),
        ),
        notes="docs/extending.md explains what they hold. `segdepth new method --help` lists the options.",
    ),
    Command(
        "doctor", "what is wrong with this machine", "segdepth doctor", "experiments.health.doctor:doctor",
        prints_only=True,
    ),
)  # fmt: skip


def find_command(words: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the command that a command line begins with, and its arguments.

    Raises:
        ConfigError: if there is none of that name, with the nearest.
    """
    command = _named(words[0], COMMANDS, words[0])
    arguments = list(words[1:])
    if command.subcommands and arguments and not arguments[0].startswith("-"):
        name = f"{command.name} {arguments.pop(0)}"
        command = _named(name, command.subcommands, name)
    return command, arguments


def _named(name: str, commands: Sequence[Command], typed: str) -> Command:
    for command in commands:
        if command.name == name:
            return command
    known = [command.name.split()[-1] for command in commands]
    near = nearest(name.split()[-1], known)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    raise ConfigError(f"no command `{typed}`; commands: {', '.join(known)}{meant}")


def usage(command: Command | None = None) -> str:
    """Return what `segdepth --help` prints, or that of a command that has subcommands."""
    if command is None:
        head, commands, notes = "segdepth COMMAND ...", COMMANDS, "`segdepth COMMAND --help` lists a command's options."
    else:
        head, commands, notes = f"segdepth {command.name} COMMAND ...", command.subcommands, command.notes
    names = [each.name.split()[-1] for each in commands]
    widths = max(map(len, names)), max(len(each.summary) for each in commands)
    lines = [
        f"  {name:<{widths[0]}}  {each.summary:<{widths[1]}}  {each.example}"
        for name, each in zip(names, commands, strict=True)
    ]
    return "\n".join([f"usage: {head}", "", *lines, "", notes])
