"""Two processes with uneven numbers of batches: none waits for ever, and results are those of one."""

import socket

import pytest

from tests.contract.methods import METHODS
from tests.contract.processes import Place, run

#: Seconds, beyond which a method that takes a few hangs.
LIMIT = 200


@pytest.fixture
def place(frames, documented, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Place(frames, tmp_path, documented, free.getsockname()[1])


@pytest.mark.ddp
@pytest.mark.parametrize("name", METHODS)
def test_uneven_batches(name, place, two_processes):
    """Of five frames one process has three, in two batches, and the other two, in one."""
    started = [two_processes.submit(run, name, place, rank, processes=2) for rank in range(2)]
    alone = run(name, place)
    first, second = (process.result(timeout=LIMIT) for process in started)
    for verb in ("validate", "test"):
        assert alone[verb]
        assert first[verb] == pytest.approx(alone[verb], rel=1e-4, abs=1e-6, nan_ok=True)
    for verb in ("validate", "test", "fit"):
        shared = {key: value for key, value in first[verb].items() if not key.startswith("train/")}
        assert {key: second[verb][key] for key in shared} == pytest.approx(shared, rel=1e-6, nan_ok=True)
