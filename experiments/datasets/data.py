"""`segdepth data`: what of the data is there, whether it can be read, a faster copy of it, and a picture of it."""

from collections.abc import Callable, Sequence

import yaml
from jsonargparse import ArgumentParser

from datamodules import DepthDataModule
from experiments.config.arguments import name_configs, take_flag
from experiments.config.command_line import data_parser, parse, use_root
from experiments.config.compose import Composition, ConfigError, compose
from experiments.config.idle_options import refuse_idle
from experiments.datasets.convert import convert
from experiments.datasets.make_rooms import rooms
from experiments.datasets.preview import preview
from experiments.datasets.status import status
from experiments.datasets.verify import verify

USAGE = """usage: segdepth data COMMAND ...

  status    what is found, what is missing and where to get it   segdepth data status --root /data
  verify    read every frame, name every broken one              segdepth data verify nyuv2
  convert   into a store that training reads fast                segdepth data convert nyuv2 --output /fast/nyuv2
  preview   a sheet of frames, with depth and labels             segdepth data preview nyuv2 --frames 8
  rooms     synthetic data in the layout of every data set       segdepth data rooms --output rooms-data

A data set is a name as in `--config data/NAME`; --config FILE and --data.init_args.KEY VALUE change it, and
--root FOLDER takes the place of DATA_ROOT. `segdepth data COMMAND --help` lists a command's options."""

#: Commands that need no data set.
PLAIN_COMMANDS: dict[str, Callable[..., None]] = {"status": status, "rooms": rooms}

#: Commands that read frames; they take a data module, then their options.
FRAME_COMMANDS: dict[str, Callable[..., None]] = {"verify": verify, "convert": convert, "preview": preview}


def data(arguments: Sequence[str]) -> None:
    """Run ``status``, ``verify``, ``convert``, ``preview`` or ``rooms``.

    Raises:
        ConfigError: for a command line or configuration that cannot be used, in one line.
        SystemExit: with status 1 if ``verify`` finds a broken frame.
    """
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE)
    elif command in PLAIN_COMMANDS:
        run = PLAIN_COMMANDS[command]
        parser = ArgumentParser(prog=f"segdepth data {command}", exit_on_error=False, allow_abbrev=False)
        parser.add_function_arguments(run)
        run(**vars(parser.instantiate(parse(parser, rest, Composition({}, "", "")))))
    elif command in FRAME_COMMANDS:
        run = FRAME_COMMANDS[command]
        module, options = open_data(command, run, rest)
        run(module, **options)
    else:
        raise ConfigError(f"no command `data {command}`; commands: {', '.join([*PLAIN_COMMANDS, *FRAME_COMMANDS])}")


def open_data(
    command: str, run: Callable[..., None], arguments: Sequence[str]
) -> tuple[DepthDataModule, dict[str, object]]:
    """The data module that a command line names, and the command's own options.

    Raises:
        ConfigError: if it names none, or cannot be used.
    """
    usage = f"segdepth data {command} NAME [--config FILE] [--data.init_args.KEY VALUE] [options]"
    parser = data_parser(f"segdepth data {command}", usage)
    parser.add_function_arguments(run, skip={"module"})
    names, rest = take_flag(name_configs(arguments), "--config", "-c")
    if {"-h", "--help"} & set(rest):
        parser.parse_args(["--help"])
    use_root(rest)
    composition = compose(names, rest)
    config = {"data": composition.config.get("data", {})}
    named = {flag.partition("=")[0] for flag in rest} & {"--data", "--data.class_path"}
    if "class_path" not in config["data"] and not named:
        raise ConfigError(f"`segdepth data {command}` needs a data set: segdepth data {command} nyuv2")
    options = parse(parser, ["--config", yaml.safe_dump(config), *rest], composition)
    refuse_idle(command, composition.flags)
    module = parser.instantiate(options).data
    module.prepare_data()
    return module, {key: value for key, value in vars(options).items() if key not in ("config", "root", "data")}
