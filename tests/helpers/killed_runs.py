"""Runs of `segdepth` in forked processes that kill themselves at a chosen event, without a chance to clean up."""

import io
import json
import logging
import os
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

import pytest
import torch
import yaml
from lightning.pytorch.trainer import call

import callbacks.checkpoints.checkpoint_io as checkpoint_io
from callbacks import LastCheckpoint
from experiments.__main__ import main
from experiments.config.compose import EXPERIMENTS

Event = tuple[str, ...]


def base_callbacks() -> list[dict[str, Any]]:
    """Those that every run has, which have to bear an interruption; with few pictures, and no progress bar."""
    callbacks = yaml.safe_load((EXPERIMENTS / "base/trainer.yaml").read_text())["trainer"]["callbacks"]
    few = {"callbacks.Panels": {"frames": 1}, "callbacks.CloudPictures": {"frames": 0}}
    return [
        callback | ({"init_args": few[path]} if (path := callback["class_path"]) in few else {})
        for callback in callbacks
        if not callback["class_path"].endswith("ProgressBar")
    ]


class Events:
    """Numbers what happens in a run, and ends the process with a signal at one event.

    An event is a hook at an epoch and step, or a stage of writing a checkpoint; events of one name and place are
    numbered. They are the same in a run that was resumed.
    """

    def __init__(self, record: Path | None, fatal: Event | None, number: int):
        self.record, self.fatal, self.number = record, fatal, number
        self.seen: Counter[Event] = Counter()
        self.writing = ""  # step of the checkpoint that is being written

    def pass_(self, *event: str) -> None:
        self.seen[event] += 1
        event = (*event, str(self.seen[event]))
        if self.record:
            with self.record.open("a") as file:
                file.write(json.dumps(event) + "\n")
        if event == self.fatal:
            os.kill(os.getpid(), self.number)

    def watch(self) -> None:
        """Patch this process, which is a fork for one run."""
        hooks, save, replace = call._call_callback_hooks, torch.save, Path.replace

        def counted(trainer, hook, *args, **options):
            phase = hook.removeprefix("on_").partition("_")[0]
            if phase in ("train", "validation", "test") and hook != "on_train_end":
                self.pass_(phase, hook, str(trainer.current_epoch), str(trainer.global_step))
            return hooks(trainer, hook, *args, **options)

        def half_written(checkpoint, file, **options):
            if not isinstance(file, io.BufferedWriter):  # what processes tell each other
                return save(checkpoint, file, **options)
            whole = io.BytesIO()
            save(checkpoint, whole)
            content = whole.getvalue()
            file.write(content[: len(content) // 2])
            file.flush()
            self.writing = str(checkpoint["global_step"])
            self.pass_("write", f"half of {Path(file.name).name}", self.writing)
            return file.write(content[len(content) // 2 :])

        def renamed(path, target):
            if ".ckpt" in path.name:
                self.pass_("write", f"before {path.name} becomes {Path(target).name}", self.writing)
            done = replace(path, target)
            if ".ckpt" in path.name:
                self.pass_("write", f"after {path.name} became {Path(target).name}", self.writing)
            return done

        call._call_callback_hooks = counted
        checkpoint_io.torch.save = half_written
        Path.replace = renamed


def log_to(stream: TextIO) -> None:
    """Send what Lightning says to a stream; which of its loggers has the handler depends on what was imported first."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(stream)


def run_forked(arguments, log: Path, *, record=None, fatal=None, number=signal.SIGKILL) -> int:
    """Exit status of `segdepth arguments` in a fork, negative if a signal ended it; what it says goes to the log."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            sys.stdout = sys.stderr = log.open("a", buffering=1)
            log_to(sys.stderr)
            torch.set_num_threads(1)
            Events(record, fatal, number).watch()
            main(arguments)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def checkpoint_every(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `last.ckpt` by steps alone; changed defaults would not do, for jsonargparse may have read them before."""
    make = LastCheckpoint.__init__

    def make_so(self: LastCheckpoint, every_minutes: float | None = None, every_n_steps: int | None = steps) -> None:
        make(self, every_minutes, every_n_steps)
        self.every_minutes, self.every_n_steps = None, steps

    monkeypatch.setattr(LastCheckpoint, "__init__", make_so)
