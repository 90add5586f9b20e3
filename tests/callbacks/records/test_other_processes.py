"""Processes that do not answer end the run with one line."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from lightning.pytorch.strategies import DDPStrategy

from callbacks.records.other_processes import OtherProcesses, explain_lost_process
from experiments.health.failures import explain_failure


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[../third_party/gloo/pair.cc:81] Timed out waiting 600000ms for recv operation to complete",
            "did not answer",
        ),
        ("[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=7)", "did not answer"),
        ("[../third_party/gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:21877", "has ended, and says why"),
    ],
)
def test_what_gloo_and_nccl_say_is_explained(text, line):
    assert line in explain_failure(RuntimeError(text))
    assert explain_lost_process(ValueError(text)) is None
    assert explain_lost_process(RuntimeError("shapes differ")) is None


def test_the_time_is_set_unless_the_strategy_has_its_own():
    for strategy, minutes in ((DDPStrategy(), 3.0), (DDPStrategy(timeout=timedelta(minutes=45)), 45.0)):
        OtherProcesses(3.0).apply(SimpleNamespace(strategy=strategy))
        assert strategy._timeout == timedelta(minutes=minutes)
    OtherProcesses(3.0).apply(SimpleNamespace(strategy=SimpleNamespace()))  # of one process
    with pytest.raises(ValueError, match=r"`run\.wait_minutes` must be positive, got 0"):
        OtherProcesses(0)


def test_lost_processes_are_ended():
    killed = []
    trainer = SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(kill=killed.append)))
    OtherProcesses().on_exception(trainer, None, RuntimeError("shapes differ"))
    assert not killed
    OtherProcesses().on_exception(trainer, None, RuntimeError("Timed out waiting 600000ms"))
    assert killed == [9]
