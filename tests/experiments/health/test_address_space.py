"""A limit on addresses is named, before a library crashes for it."""

import resource

import pytest

from experiments.__main__ import main
from experiments.health import address_space
from experiments.health.failures import explain_failure


@pytest.fixture
def limit(monkeypatch):
    """Pretend a limit in GiB: a true one would hold for the rest of the tests."""
    return lambda gib: monkeypatch.setattr(resource, "getrlimit", lambda _: (gib * 2**30, resource.RLIM_INFINITY))


@pytest.mark.parametrize("command", ["exp", "test", "evaluate", "data"])
def test_too_low_a_limit_is_one_line(limit, capsys, command):
    limit(4)
    with pytest.raises(SystemExit) as end:
        main([command, "--config", "dpt_hybrid"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("segdepth: error: `ulimit -v` lets this process use 4.0 GiB of addresses")


def test_a_limit_is_named_where_memory_is_full(limit):
    assert "ulimit -v" not in explain_failure(MemoryError())
    limit(6)
    assert explain_failure(MemoryError()).endswith("; `ulimit -v` is 6.0 GiB: raise it first")
    assert "OMP_NUM_THREADS" in explain_failure(RuntimeError("can't start new thread"))


def test_a_library_that_finds_no_addresses_is_not_called_missing(limit, monkeypatch, capsys):
    def failing(name):
        raise ImportError("cv2.abi3.so: failed to map segment from shared object")

    monkeypatch.setattr("experiments.config.commands.import_module", failing)
    with pytest.raises(SystemExit):
        main(["compare"])
    assert "memory is full while libraries are loaded" in capsys.readouterr().err
    assert address_space.limit_hint() == ""
