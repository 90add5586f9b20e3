"""Check and time training on a GPU, in four minutes: `make gpu-check`, or `python -m benchmarks.gpu_check`.

Steps of DPT-Hybrid and SHED come first (batch 16, 384x384, bf16), eager, captured and compiled, in turns with those of
another checkout (``--against``); then the kernels' equality, waits for the GPU, and the GPU against the CPU. It prints
what it has, and writes it as Markdown and JSON, whenever the time is up.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.checks import CHECKS, run_check
from benchmarks.gpu_check.epochs import EXPERIMENTS, run_epoch
from benchmarks.gpu_check.gpu_report import as_markdown, environment
from benchmarks.gpu_check.gpu_workers import Processes
from benchmarks.gpu_check.steps import LONG_PLAN, PLAN, measure_together

ROOT = Path(__file__).resolve().parents[2]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of this repository, measured in turns")
    parser.add_argument("--output", type=Path, default=Path("gpu-check"), help="folder of the report and the logs")
    parser.add_argument("--seconds", type=float, default=235, help="after which it stops; 1500 for the long form")
    parser.add_argument("--long", action="store_true", help="further modes, and an epoch of each method")
    parser.add_argument("--only", choices=("steps", "checks", "epochs"), help="one part alone")
    parser.add_argument("--check", choices=tuple(CHECKS), help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--small", action="store_true", help="small networks")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.check:
        print(json.dumps(run_check(options.check)))
        return
    begun = time.monotonic()
    report: dict[str, Any] = {"environment": environment(options.device), "steps": [], "checks": {}, "epochs": {}}

    def left() -> float:
        return options.seconds - (time.monotonic() - begun)

    def write() -> None:
        report["seconds"] = time.monotonic() - begun
        (options.output / "report.json").write_text(json.dumps(report, indent=1))
        (options.output / "report.md").write_text(as_markdown(report))

    options.output.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "steps"):
        run_steps(options, report, left, write)
    if options.only in (None, "checks"):
        run_checks(options, report, left, write)
    if options.only in (None, "epochs"):
        for name in EXPERIMENTS:
            enough = left() > 30
            report["epochs"][name] = run_epoch(name, options.output, left()) if enough else {"error": "not run"}
            print(f"epoch of {name}: {report['epochs'][name]}", flush=True)
            write()
    print(as_markdown(report))


def run_steps(options: argparse.Namespace, report: dict[str, Any], left: Any, write: Any) -> None:
    given = {"batch": options.batch, "size": options.size, "device": options.device, "small": options.small}
    checkouts = {"new": ROOT} | ({"old": options.against.resolve()} if options.against else {})
    processes = Processes(checkouts, given, options.output)
    # the checks need a part of the time
    kept = 0.0 if options.only else min(45.0, options.seconds / 5)
    for network, steps in PLAN + (LONG_PLAN if options.long else ()):
        rows = measure_together(
            processes, network, steps, images=options.batch, rounds=options.rounds, repeats=options.repeats,
            left=lambda: left() - kept,
        )  # fmt: skip
        report["steps"] += rows
        for row in rows:
            shown = {key: value for key, value in row.items() if key not in ("rounds", "profile")}
            print({key: round(value, 2) if isinstance(value, float) else value for key, value in shown.items()})
        sys.stdout.flush()
        write()
    processes.end()


def run_checks(options: argparse.Namespace, report: dict[str, Any], left: Any, write: Any) -> None:
    for name in CHECKS:
        if left() < 10:
            report["checks"][name] = {"error": "not run: no time left"}
            continue
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--check", name]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(left(), 5))
            (options.output / f"check-{name.replace(' ', '-')}.log").write_text(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {"error": done.stderr[-300:]}
        except subprocess.TimeoutExpired:
            found = {"error": "not done in the time left"}
        report["checks"][name] = found
        print(f"{name}: {'passed' if found.get('passed') else found}", flush=True)
        write()


if __name__ == "__main__":
    main()
