"""Signals are remembered, not acted upon, and given back."""

import os
import signal

import pytest

from callbacks.checkpoints.stop_signals import STOPPING, StopSignals
from experiments.grid.sweep import _signals_interrupt


@pytest.fixture
def signals():
    before = {number: signal.getsignal(number) for number in STOPPING}
    stop = StopSignals()
    yield stop
    stop.restore()
    for number, handler in before.items():
        assert signal.getsignal(number) == handler or number == signal.SIGUSR1
        signal.signal(number, handler)


def test_the_first_signal_is_remembered_and_a_second_ctrl_c_ends_at_once(signals, capsys):
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # batch systems repeat themselves
    assert signals.received == signal.SIGTERM
    assert capsys.readouterr().err.count("stopping after this step") == 1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_requeue_waits_for_the_end_of_the_step(signals):
    requeued = []
    signal.signal(signal.SIGUSR1, lambda *arguments: requeued.append(arguments))  # as Lightning does on SLURM
    signals.install()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.received == signal.SIGUSR1
    assert not requeued
    signals.requeue_handler(signal.SIGUSR1)(signal.SIGUSR1, None)
    assert len(requeued) == 1
    assert signals.requeue_handler(signal.SIGUSR2) is None  # nobody asked for that one


def test_a_closed_terminal_stops_a_command_unless_it_is_ignored(signals):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does, under which this may run
    signals.install()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.received == 0
    signals.restore()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals.install()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signals.received == signal.SIGHUP
    signals.restore()
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sweep_is_interrupted_and_goes_on_later(number):
    before = signal.signal(number, signal.SIG_DFL)  # `nohup` ignores SIGHUP, and a sweep leaves it so
    with pytest.raises(KeyboardInterrupt), _signals_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.SIG_DFL
    signal.signal(number, before)
