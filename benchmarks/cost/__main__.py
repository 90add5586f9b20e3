"""What networks cost against their peers, as ratios of one run.

    make bench ARGS="--quick"
    .venv/bin/python -m benchmarks.cost shed              SHED, and its light variant, against DPT-Hybrid
    .venv/bin/python -m benchmarks.cost mti_net           guided MTI-Net against three single-task networks
    .venv/bin/python -m benchmarks.cost region_support    a training step of Region Support Network, in four variants

Each takes `--help`.
"""

import sys
from collections.abc import Callable, Sequence

from benchmarks.cost import mti_net_cost, region_support_cost, shed_cost

COMPARISONS: dict[str, Callable[[Sequence[str]], None]] = {
    "shed": shed_cost.main,
    "mti_net": mti_net_cost.main,
    "region_support": region_support_cost.main,
}


def main() -> None:
    name, *rest = [*sys.argv[1:], ""]
    if name not in COMPARISONS:
        raise SystemExit(f"{__doc__}\ncomparisons: {', '.join(COMPARISONS)}")
    COMPARISONS[name](rest[:-1])


if __name__ == "__main__":
    main()
