"""Processes that each run a :mod:`.worker` on one checkout, and take orders."""

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")

Answer = dict[str, Any]


class Process:
    """A worker on one checkout.

    Args:
        checkout: folder of the repository to measure.
        options: of each step.
        log: file that gets what the process prints.
    """

    def __init__(self, checkout: Path, options: dict[str, Any], log: Path):
        with log.open("w") as written:
            self.child = subprocess.Popen(
                [sys.executable, str(WORKER), str(checkout), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                cwd=checkout,
            )

    @property
    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self.child.poll() is not None

    def ask(self, seconds: float, do: str, network: str, mode: str, **more: Any) -> Answer:
        """Return the answer to an order, or an ``error``; a process that takes longer than ``seconds`` is ended."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        if self.ended:
            return {"error": f"the process ended with {self.child.returncode}"}
        self.child.stdin.write(json.dumps({"do": do, "network": network, "mode": mode, **more}) + "\n")
        self.child.stdin.flush()
        ready, _, _ = select.select([self.child.stdout], [], [], max(seconds, 1))
        if not ready:
            self.end()
            return {"error": f"not done after {seconds:.0f} s"}
        line = self.child.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def end(self) -> None:
        """End the process at once."""
        self.child.kill()
        self.child.wait()


class Processes:
    """Workers by checkout and by how they capture: a capture that fails spoils its process.

    Args:
        checkouts: by name.
        options: of each step.
        folder: of the logs.
    """

    def __init__(self, checkouts: dict[str, Path], options: dict[str, Any], folder: Path):
        self.checkouts, self.options, self.folder = checkouts, options, folder
        self.running: dict[tuple[str, str], Process] = {}
        self.started = 0

    def of(self, checkout: str, mode: str) -> Process:
        """Return the worker for a step, a new one if there is none."""
        key = (checkout, mode if "captured" in mode else "plain")
        if key not in self.running or self.running[key].ended:
            self.started += 1
            log = self.folder / f"{self.started}-{checkout}-{key[1].replace(' ', '-')}.log"
            self.running[key] = Process(self.checkouts[checkout], self.options, log)
        return self.running[key]

    def end(self) -> None:
        """End all processes."""
        for process in self.running.values():
            process.end()
