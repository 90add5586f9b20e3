"""Callbacks that metrics need, and no more: pictures take most of the time of a tiny run."""

import json

FEW_CALLBACKS = [
    {"class_path": f"callbacks.{name}"}
    for name in ("BestCheckpoint", "LastCheckpoint", "History", "ConstantBaseline", "PerImageTable", "RunSummary")
]

#: The same as arguments of a command, without a logger.
FEW_CALLBACKS_ONLY = ("--trainer.logger", "false", "--trainer.callbacks", json.dumps(FEW_CALLBACKS))
