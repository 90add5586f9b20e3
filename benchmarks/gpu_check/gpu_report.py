"""The report of a check as Markdown."""

import platform
from typing import Any

import torch

#: ``of old`` is the throughput over that of the other checkout's eager step in the same turns.
COLUMNS = (
    "network", "code", "mode", "ms", "issued ms", "images/s", "of old", "kernels ms", "launches", "operators", "GiB",
    "first step s", "GFLOPs an image", "dispatched", "GB moved",
)  # fmt: skip


def environment(device: str) -> dict[str, Any]:
    """Return what the figures depend on: card, driver's and torch's versions, processor."""
    found: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version(), "device": device}
    if device == "cuda" and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "card": properties.name,
            "memory_gib": round(properties.total_memory / 2**30),
            "cuda": torch.version.cuda,
        }
    return found


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report, the most important first."""
    lines = ["# GPU check", "", ", ".join(f"{key} {value}" for key, value in report["environment"].items()), ""]
    lines += _steps(report["steps"]) + _checks("Checks", report["checks"]) + _checks("An epoch each", report["epochs"])
    for row in report["steps"]:
        lines += _kernels(row)
    return "\n".join(lines) + "\n"


def _steps(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Training steps",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---' if name in COLUMNS[:3] else '--:' for name in COLUMNS)} |",
    ]
    for row in rows:
        name = f"| {row['network']} | {row['code']} | {row['mode']} "
        if "ms" not in row:
            lines.append(f"{name}| {row.get('error', '')} " + "| " * 11 + "|")
            continue
        ratio = f"{row['of_old']:.2f}" if "of_old" in row else ""
        profile = row.get("profile", {})
        of_kernels = " | | "
        if "kernel_ms" in profile:
            of_kernels = f"{profile['kernel_ms']:.1f} | {profile['launches']} | {profile['operators']}"
        arithmetic = " | | "
        if "gflops" in profile:
            arithmetic = f"{profile['gflops']:.0f} | {profile['dispatched']} | {profile['gigabytes']:.1f}"
        lines.append(
            f"{name}| {row['ms']:.1f} | {row['issued_ms']:.1f} | {row['images_per_second']:.0f} | {ratio} | "
            f"{of_kernels} | {row['peak_gib']:.2f} | {row['first_step_s']:.1f} | {arithmetic} |"
        )
    return [*lines, ""]


def _checks(title: str, checks: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"## {title}", ""] if checks else []
    for name, found in checks.items():
        lines.append(f"- {name}: {'passed' if found.get('passed') else found.get('error', 'FAILED')}")
        details = {key: value for key, value in found.items() if key not in ("passed", "error")}
        lines += [f"  - {key}: {_short(value)}" for key, value in details.items()]
    return [*lines, ""]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(each)}" for key, each in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _kernels(row: dict[str, Any]) -> list[str]:
    kernels = row.get("profile", {}).get("kernels", [])
    if not kernels:
        return []
    lines = [f"## Kernels of {row['network']}, {row['code']}, {row['mode']}", "", "```"]
    lines += [f"{each['ms']:8.3f} ms {each['launches']:5d}  {each['name'][:120]}" for each in kernels]
    return [*lines, "```", ""]
