"""What is said when training ends in an exception."""

import re
from types import SimpleNamespace

import pytest
from lightning.pytorch.trainer.states import TrainerFn

from callbacks import LastCheckpoint


@pytest.mark.parametrize(
    ("error", "began", "saved", "said"),
    [
        (ValueError("no such stage"), False, False, ""),  # nothing was interrupted, and the error comes next
        (ValueError("no such stage"), False, True, ""),  # the checkpoint is an earlier command's
        (ValueError("a frame is broken"), True, False, ""),
        (ValueError("a frame is broken"), True, True, "stopped by an error at step 3: .*last.ckpt is left; resume"),
        (KeyboardInterrupt(), True, True, "interrupted at step 3: .*last.ckpt is left; resume"),
        (KeyboardInterrupt(), True, False, "interrupted at step 3: before the first checkpoint; there is nothing"),
        (SystemExit(143), True, True, ""),  # the signal has had its line
    ],
)
def test_only_what_was_interrupted_is_said_to_be(tmp_path, monkeypatch, error, began, saved, said):
    lines = []
    monkeypatch.setattr("callbacks.checkpoints.last_checkpoint.rank_zero_info", lines.append)
    callback = LastCheckpoint()
    trainer = SimpleNamespace(
        default_root_dir=tmp_path, is_global_zero=True, received_sigterm=False, global_step=3,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
    )  # fmt: skip
    callback.setup(trainer, None, TrainerFn.FITTING)
    if saved:
        callback.path.parent.mkdir()
        callback.path.touch()
    if began:
        callback.on_train_start(trainer, None)
    callback.on_exception(trainer, None, error)
    if said:
        (line,) = lines
        assert re.match(said, line)
    else:
        assert lines == []
