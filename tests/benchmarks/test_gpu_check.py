"""The GPU check's bookkeeping, with workers that answer at once; its steps and checks need a GPU."""

from pathlib import Path

from benchmarks.gpu_check.gpu_report import as_markdown
from benchmarks.gpu_check.steps import LONG_PLAN, PLAN, measure_together
from benchmarks.gpu_check.worker import NETWORKS, kind_of

MILLISECONDS = {("old", "eager"): 60.0, ("new", "eager"): 40.0, ("new", "captured"): 30.0}


class Worker:
    """Answers as a process would; a captured step in channels-last fails."""

    def __init__(self, checkout):
        self.checkout, self.ended = checkout, False

    def ask(self, seconds, do, network, mode, **more):
        if do == "make" and mode == "captured channels-last":
            return {"error": "out of memory"}
        if do == "make":
            return {"build_s": 1.0, "first_step_s": 2.0, "peak_gib": 3.0, "first_loss": 0.5}
        if do == "time":
            return {"ms": MILLISECONDS[self.checkout, mode], "issued_ms": 5.0}
        if do == "profile":
            kernel = {"name": "convolve", "launches": 7, "ms": 1.5}
            return {"launches": 7, "kernel_ms": 1.5, "operators": 9, "kernels": [kernel]}
        return {}

    def end(self):
        self.ended = True


class Workers:
    def __init__(self, *names):
        self.checkouts = {name: Path(name) for name in names}
        self.made = {}

    def of(self, checkout, mode):
        key = (checkout, mode)
        return self.made.setdefault(key, Worker(checkout))


def measure(*names, left=100.0):
    steps = [("old", "eager"), ("new", "eager"), ("new", "captured"), ("new", "captured channels-last")]
    return measure_together(
        Workers(*names), "DPT-Hybrid", steps, images=16, rounds=3, repeats=2, left=lambda: left
    )  # fmt: skip


def test_throughput_is_compared_with_the_other_checkouts_eager_step():
    rows = measure("old", "new")
    assert [row.get("of_old") for row in rows] == [1.0, 1.5, 2.0, None]
    assert rows[2]["images_per_second"] == 16 / 0.030
    assert rows[3]["error"] == "out of memory"


def test_without_another_checkout_its_steps_are_left_out():
    rows = measure("new")
    assert [row["mode"] for row in rows] == ["eager", "captured", "captured channels-last"]
    assert not any("of_old" in row for row in rows)


def test_what_there_is_no_time_for_is_named():
    assert {row["error"] for row in measure("old", "new", left=5.0)} == {"not run: no time left"}


def test_the_report_has_a_row_for_each_step_and_each_check():
    report = {
        "environment": {"torch": "2"},
        "steps": measure("old", "new"),
        "checks": {"kernel": {"passed": True, "float32": {"forward": 1e-7}}, "later": {"error": "not run"}},
        "epochs": {"cast_small": {"passed": False, "error": "no"}},
    }
    text = as_markdown(report)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| DPT-Hybrid | new | captured | 30.0 | 5.0 | 533 | 2.00 | 1.5 | 7 | 9 | 3.00 | 2.0 |" in text
    assert "- kernel: passed" in text
    assert "- later: not run" in text
    assert "1.500 ms     7  convolve" in text


def test_plans_name_networks_that_there_are():
    assert {network for network, _ in PLAN + LONG_PLAN} == set(NETWORKS)


def test_operators_are_sorted_by_what_they_cost():
    import torch

    aten = torch.ops.aten
    kinds = [aten.view.default, aten.t.default, aten._to_copy.default, aten.empty.memory_format, aten.add_.Tensor]
    assert [kind_of(each) for each in kinds] == ["views", "views", "copies", "allocations", "others"]
