"""Runs jobs on this machine, several at a time, each in a process and a run folder of its own."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.grid.jobs import Job, try_lock, unlock
from experiments.results.folder_lock import is_held
from experiments.results.run_folder import RUN_ENVIRONMENT

PROGRAM = (sys.executable, "-m", "experiments")

#: Seconds between two looks at the running processes.
POLL_INTERVAL = 0.1

FINISHED, FAILED, ELSEWHERE, OPEN = "finished", "failed", "running elsewhere", "not finished"


@dataclass(frozen=True)
class Slot:
    """A place in which one process at a time runs.

    Attributes:
        number: number of the slot.
        gpu: index of the only GPU that the process sees; None for a process on the CPU.
        threads: OpenMP threads of the process.
    """

    number: int
    gpu: str | None
    threads: int


@dataclass(frozen=True)
class Running:
    """A process in a slot."""

    job: Job
    process: subprocess.Popen[bytes]
    lock: int
    start: float


@dataclass
class GridRunner:
    """Runs jobs that are neither finished nor in the hands of another process.

    Attributes:
        jobs: jobs, in the order in which they start.
        slots: one slot for each process that runs at a time.
        program: command line that a job's arguments are appended to.
        say: function that prints a line.
        status: state of each job, by its run folder.
    """

    jobs: Sequence[Job]
    slots: Sequence[Slot]
    program: Sequence[str] = PROGRAM
    say: Callable[[str], None] = print
    status: dict[Path, str] = field(default_factory=dict)
    _durations: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run everything; a job that fails does not stop the rest.

        Raises:
            KeyboardInterrupt: after the running jobs have ended, each asked to leave a checkpoint.
        """
        self.status = {job.folder: FINISHED if job.is_finished else OPEN for job in self.jobs}
        waiting = deque(job for job in self.jobs if not job.is_finished)
        if done := len(self.jobs) - len(waiting):
            self.say(f"{done} of {len(self.jobs)} runs are finished already")
        running: dict[Slot, Running] = {}
        try:
            while waiting or running:
                for slot in self.slots:
                    while waiting and slot not in running:
                        self._start(waiting.popleft(), slot, running)
                for slot, current in list(running.items()):
                    if current.process.poll() is not None:
                        del running[slot]
                        self._conclude(current)
                time.sleep(POLL_INTERVAL)
        finally:
            self._stop(list(running.values()))

    def _start(self, job: Job, slot: Slot, running: dict[Slot, Running]) -> None:
        lock = try_lock(job.lock)
        if lock is not None and is_held(job.folder):  # by a command of its own, or a sweep of another name
            unlock(lock)
            lock = None
        if lock is None:
            self.status[job.folder] = ELSEWHERE
            self.say(f"{self._place(job)} {job.title}: another process is at it")
            return
        if job.is_finished:  # another process was at it
            self.status[job.folder] = FINISHED
            unlock(lock)
            return
        command = [*self.program, *job.command()]
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(slot.threads))}
        environment["CUDA_VISIBLE_DEVICES"] = slot.gpu or ""
        environment.pop(RUN_ENVIRONMENT, None)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(command)}\n")
            log.flush()
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C reaches this process alone, which then stops the others in order
                pass_fds=[lock],
            )
        running[slot] = Running(job, process, lock, time.monotonic())
        where = f" on GPU {slot.gpu}" if slot.gpu else ""
        self.say(f"{self._place(job)} {job.title}: {'resumed' if job.has_begun else 'started'}{where}")

    def _conclude(self, ended: Running) -> None:
        """Report how a job ended: it succeeded if its metrics are there."""
        unlock(ended.lock)
        job, seconds = ended.job, time.monotonic() - ended.start
        if not job.is_finished:
            self.status[job.folder] = FAILED
            code = ended.process.returncode
            self.say(f"{self._place(job)} {job.title}: failed (exit status {code}); see {job.log}")
            return
        self.status[job.folder] = FINISHED
        self._durations.append(seconds)
        left = sum(status == OPEN for status in self.status.values())
        to_go = left * sum(self._durations) / len(self._durations) / len(self.slots)
        self.say(
            f"{self._place(job)} {job.title}: finished in {clock(seconds)}"
            + (f"; {left} to go, about {clock(to_go)}" if left else "")
        )

    def _stop(self, running: Sequence[Running]) -> None:
        """Ask processes to leave a checkpoint and wait for them; an interrupt meanwhile kills them."""
        try:
            if running:
                self.say(f"stopping {len(running)} run(s), which leave a checkpoint; Ctrl-C again kills them")
            for current in running:
                current.process.send_signal(signal.SIGTERM)  # launchers pass it on; workers that got it would die first
            for current in running:
                current.process.wait()
        except KeyboardInterrupt:
            for current in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(current.process.pid, signal.SIGKILL)
                current.process.wait()
            raise
        finally:
            for current in running:
                unlock(current.lock)
                if current.job.is_finished:
                    self.status[current.job.folder] = FINISHED

    def _place(self, job: Job) -> str:
        return f"[{self.jobs.index(job) + 1}/{len(self.jobs)}]"


def clock(seconds: float) -> str:
    """Return a duration in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
