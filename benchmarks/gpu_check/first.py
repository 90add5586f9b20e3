"""A first measurement: steps of this checkout, and of another beside it, eager, compiled by blocks, captured.

    python -m benchmarks.gpu_check.first --against OTHER_CHECKOUT --output first --seconds 230
"""

import argparse
import json
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
HERE = Path(__file__).resolve().parents[2]


class Process:
    """A :mod:`.worker` on one checkout."""

    def __init__(self, checkout: Path, options: dict[str, Any], log: Path):
        self.log = log.open("w")
        self.child = subprocess.Popen(
            [sys.executable, str(WORKER), str(checkout), json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=checkout,
        )  # fmt: skip

    def ask(self, limit: float, do: str, network: str, mode: str, **more: Any) -> dict[str, Any]:
        if self.child.poll() is not None:
            return {"error": f"process ended with {self.child.returncode}"}
        self.child.stdin.write(json.dumps({"do": do, "network": network, "mode": mode, **more}) + "\n")
        self.child.stdin.flush()
        ready, _, _ = select.select([self.child.stdout], [], [], max(limit, 1))
        if not ready:
            self.child.kill()
            return {"error": f"not done after {limit:.0f} s"}
        line = self.child.stdout.readline()
        return json.loads(line) if line else {"error": "process ended"}

    def close(self) -> None:
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--output", default="first")
    parser.add_argument("--seconds", type=float, default=230)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    begun = time.monotonic()
    given = {"batch": options.batch, "size": options.size, "device": options.device, "small": options.small}
    checkouts = {"new": HERE} | ({"old": options.against.resolve()} if options.against else {})
    report: dict[str, Any] = {"options": given, "rows": []}

    def left() -> float:
        return options.seconds - (time.monotonic() - begun)

    def write() -> None:
        Path(options.output + ".json").write_text(json.dumps(report, indent=1))

    processes: dict[tuple[str, str], Process] = {}

    def process_for(name: str, mode: str) -> Process:
        """Return the process of a checkout; a failed capture spoils one, so captures have their own."""
        kind = "captured" if "captured" in mode else "plain"
        if (name, kind) not in processes or processes[name, kind].child.poll() is not None:
            log = Path(f"{options.output}.{name}.{kind}.{len(processes)}.{int(time.monotonic() - begun)}.log")
            processes[name, kind] = Process(checkouts[name], given, log)
        return processes[name, kind]

    def measure(network: str, plan: list[tuple[str, str]], profiled: bool = True) -> None:
        made = []
        for name, mode in plan:
            if name not in checkouts or left() < 8:
                continue
            process = process_for(name, mode)
            row = {"network": network, "code": name, "mode": mode}
            row |= process.ask(min(90, left()), "make", network, mode)
            report["rows"].append(row)
            if "error" in row:
                print(row, flush=True)
                write()
                process.child.kill()
                process.child.wait()
            else:
                made.append((process, row))
        for _ in range(options.rounds):
            for process, row in made:
                if left() < 3:
                    break
                timed = process.ask(left(), "time", network, row["mode"], steps=options.steps)
                row.setdefault("rounds", []).append(timed)
        for process, row in made:
            times = [each["ms"] for each in row.get("rounds", []) if "ms" in each]
            if times:
                row["ms"] = statistics.median(times)
                row["issued_ms"] = statistics.median(e["issued_ms"] for e in row["rounds"] if "ms" in e)
                row["images_per_second"] = 1e3 * options.batch / row["ms"]
            shown = {key: value for key, value in row.items() if key != "rounds"}
            print({k: round(v, 2) if isinstance(v, float) else v for k, v in shown.items()}, flush=True)
            if profiled and left() > 10:
                row["profile"] = process.ask(min(40, left()), "profile", network, row["mode"], top=25)
                if "error" in row["profile"]:
                    print("  profile:", row["profile"]["error"])
            process.ask(20, "drop", network, row["mode"])
            write()

    measure("DPT-Hybrid", [("old", "eager guard"), ("new", "eager guard"), ("new", "eager guard fused"), ("new", "captured fused")])
    measure("SHED light", [("old", "eager guard"), ("new", "eager guard fused"), ("new", "captured fused")])
    measure("SHED", [("new", "eager guard fused"), ("new", "captured fused")])
    measure("DPT-Hybrid", [("new", "blocks fused"), ("new", "blocks captured fused")])
    measure("SHED light", [("new", "blocks captured fused")])
    measure("DPT-Hybrid", [("new", "whole fused")], profiled=True)
    for process in processes.values():
        process.close()
    for row in report["rows"]:
        for kernel in row.get("profile", {}).get("kernels", [])[:25]:
            row.setdefault("table", []).append(f"{kernel['ms']:8.3f} ms {kernel['launches']:5d}  {kernel['name']}")
        if "table" in row:
            profile = row["profile"]
            print(f"\n{row['network']} {row['code']} {row['mode']}: {profile['launches']} launches, "
                  f"{profile['kernel_ms']:.1f} ms of kernels, {profile['operators']} operators")  # fmt: skip
            print("\n".join(row["table"]))
    write()


if __name__ == "__main__":
    main()
