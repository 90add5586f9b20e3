"""Training steps of one checkout, timed and profiled in a process of its own: orders on stdin, answers on stdout.

It imports nothing of this repository but ``lightning_modules``, and that of the checkout it is given, so that this one
file measures an older checkout, too, by what that one can do. Each order is a line of JSON with a ``do``, each answer a
line of JSON.
"""

import inspect
import json
import sys
import time
import traceback
from collections import defaultdict
from typing import Any

#: Class and options of each network, as its experiment has them.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "DPT-Hybrid": ("DPTHybrid", {}),
    "SHED": ("SHED", {"level_fusion": "maps"}),
    "SHED light": ("SHED", {"level_fusion": "tokens"}),
}
SUPERPIXEL = 16

#: SHED's segments, as shares of its superpixels.
SHARES = (4 / 9, 2 / 9, 1 / 9)

SMALL = {"backbone": "resnet18+vit_tiny_patch16_224", "width": 16}

ANSWERS = sys.stdout


def make_method(network: str, size: int, small: bool, **options: Any) -> Any:
    """Return a method with random weights."""
    import lightning_modules
    from lightning_modules.metrics import EvalProtocol

    name, own = NETWORKS[network]
    count = (size // SUPERPIXEL) ** 2
    if name == "SHED":
        own = own | {"segments": [round(share * count) for share in SHARES], "superpixel_size": SUPERPIXEL}
    protocol = EvalProtocol("speed only", min_depth=1e-3, max_depth=10.0)
    method = getattr(lightning_modules, name)
    return method(protocol=protocol, pretrained=False, **own, **(SMALL if small else {}), **options)


def make_batch(batch: int, size: int, device: str) -> dict[str, Any]:
    """Return random images and depths, and superpixels that are squares but for some of their borders."""
    import torch

    cell = torch.arange(size) // SUPERPIXEL
    ids = (cell[:, None] * (size // SUPERPIXEL) + cell).repeat(batch, 1, 1)
    moved = torch.randint(-5, 6, (2, batch, size, size))
    rows, columns = (torch.arange(size).view(view) for view in ((-1, 1), (1, -1)))
    rows, columns = ((place + shift).clamp(0, size - 1) for place, shift in zip((rows, columns), moved, strict=True))
    ids = ids.flatten(1).gather(1, (rows * size + columns).flatten(1)).view_as(ids)
    return {
        "image": torch.randn(batch, 3, size, size).to(device),
        "superpixels": ids.to(device),
        "depth": (1 + 8 * torch.rand(batch, 1, size, size)).to(device),
        "valid": (torch.rand(batch, 1, size, size) > 0.2).to(device),
        "index": torch.arange(batch),
        "scene": ["none"] * batch,
    }


class Step:
    """A training step as `fit` makes it: forward, losses, their check, backward, gradients' check, optimizer.

    Args:
        network: of :data:`NETWORKS`.
        mode: words of ``captured``, ``compiled``, ``channels-last``, ``fp32``; ``eager`` for none.
    """

    def __init__(self, network: str, mode: str, *, batch: int, size: int, device: str, small: bool):
        import torch

        self.torch, self.device, self.words = torch, device, mode.split()
        torch.manual_seed(0)
        self.module = make_method(
            network, size, small, compile="compiled" in self.words, channels_last="channels-last" in self.words
        )
        self.module.configure_model()
        self.module.to(device).train()
        self.batch = make_batch(batch, size, device)
        self.captured: Any = None
        try:
            from lightning_modules.training.optimization import FUSED
        except ImportError:  # an older checkout, which leaves the choice to torch
            fused = False
        else:
            fused = torch.optim.Adam in FUSED
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-5, fused=fused, foreach=not fused)
        self.module.nonfinite.late = True  # as it is on a GPU
        if "captured" in self.words:
            from lightning_modules.training.captured_step import CapturedStep

            own = {} if device == "cuda" else {"record": lambda function: (function(), lambda: None)}  # for counts
            self.captured = CapturedStep(self.module, self.compute, **own)

    def compute(self, batch: dict[str, Any]) -> Any:
        """Return the prediction for a batch, and the terms of its loss."""
        dtype, plain = self.torch.bfloat16, "fp32" in self.words
        with self.torch.autocast(self.device, dtype=dtype, enabled=not plain):
            prediction = self.module(batch)
            return prediction, self.module.losses(prediction, batch)

    def __call__(self) -> Any:
        """Make a step; return the terms of its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.captured is None:
            prediction, losses = self.compute(self.batch)
            self.torch.stack(list(losses.values())).sum().backward()
        else:
            prediction, losses = self.captured(self.batch)
            self.captured.hand_over_gradients()
        self.module.nonfinite.note(losses, self.batch, prediction)
        check = self.module.nonfinite.check
        told = [self.optimizer] if "optimizer" in inspect.signature(check).parameters else []
        check(self.module.parameters(), 0, *told)
        self.optimizer.step()
        return losses

    def wait(self) -> None:
        """Wait until the GPU has done all that was issued."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def time(self, steps: int) -> dict[str, float]:
        """Return milliseconds a step, whole and until all was issued."""
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self()
        issued = time.perf_counter()
        self.wait()
        done = time.perf_counter()
        return {"ms": 1e3 * (done - start) / steps, "issued_ms": 1e3 * (issued - start) / steps}

    def profile(self, top: int) -> dict[str, Any]:
        """Return the kernels of one step by time, and how many there are."""
        from torch.profiler import ProfilerActivity, profile

        gpu = [ProfilerActivity.CUDA] if self.device == "cuda" else []
        with profile(activities=[ProfilerActivity.CPU, *gpu]) as recorded:
            self()
            self.wait()
        kernels: dict[str, list[float]] = defaultdict(list)
        operators = 0
        for event in recorded.events():
            if "CUDA" in str(event.device_type):
                if not event.name.startswith("Optimizer."):  # a range, not a kernel
                    kernels[event.name].append(event.time_range.elapsed_us() / 1e3)
            elif event.name.startswith(("aten::", "segdepth::")):
                operators += 1
        plain = self.captured is None and "compiled" not in self.words
        ordered = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:top]
        return {
            "launches": sum(map(len, kernels.values())),
            "kernel_ms": sum(map(sum, kernels.values())),
            "operators": operators,
            **(self.arithmetic() if plain else {}),
            "kernels": [{"name": name[:200], "launches": len(times), "ms": sum(times)} for name, times in ordered],
        }

    def arithmetic(self) -> dict[str, float]:
        """Return an image's GFLOPs, forward and backward, a multiply-add as two, and the GB that a step moves."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            _, losses = self.compute(self.batch)
            self.torch.stack(list(losses.values())).sum().backward()
        total = self.count()["total"]
        images = len(self.batch["image"])
        return {
            "gflops": counter.get_total_flops() / images / 1e9,
            "dispatched": total["operators"],
            "gigabytes": total["bytes"] / 1e9,
        }

    def count(self) -> dict[str, Any]:
        """Return the operators of a step that torch dispatches, and bytes read and written, in all and by module."""
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils._pytree import tree_iter
        from torch.utils.module_tracker import ModuleTracker

        tracker, tensor = ModuleTracker(), self.torch.Tensor
        total: dict[str, int] = defaultdict(int)
        by_module: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

        class Counter(TorchDispatchMode):
            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                result = function(*args, **(kwargs or {}))
                kind = kind_of(function)
                moved = 0
                if kind not in ("views", "allocations"):
                    tensors = [each for each in tree_iter((args, kwargs, result)) if isinstance(each, tensor)]
                    moved = sum(each.numel() * each.element_size() for each in tensors)
                inside = [name for name in tracker.parents if 1 <= name.count(".") <= 3]
                place = max(inside, key=lambda name: (name.count("."), name), default="loss, gradients, optimizer")
                place = place.partition(".")[2] or place
                for counts in (total, by_module[place]):
                    counts["operators"] += 1
                    counts[kind] += 1
                    counts["bytes"] += moved
                return result

        self()
        self.optimizer.zero_grad(set_to_none=True)
        with tracker, Counter():
            self()
        return {"total": total, "modules": by_module}


#: Operators that only describe memory that there is, though their schemas do not say so.
VIEWS = ("aten.detach", "aten.view", "aten._unsafe_view", "aten.alias", "aten.unbind", "aten.split")


def kind_of(function: Any) -> str:
    """Return the kind of an operator: copies, views and allocations, which launch nothing, or others."""
    name = str(function)
    if any(returned.alias_info and not returned.alias_info.is_write for returned in function._schema.returns):
        return "views"
    if name.startswith(VIEWS) or "_record_function" in name:
        return "views"
    if name.startswith(("aten.empty", "aten.new_empty")):
        return "allocations"
    return "copies" if name.startswith(("aten._to_copy", "aten.copy_", "aten.clone")) else "others"


def held_memory() -> int:
    """Return bytes that the process holds of the GPU beyond what it could give back: a graph's too."""
    import torch

    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()


class Worker:
    """Answers orders; holds the steps that it has made."""

    def __init__(self, options: dict[str, Any]):
        self.options = options
        self.steps: dict[tuple[str, str], Step] = {}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what an order asks for; raises ValueError for an unknown one."""
        do, key = order["do"], (order["network"], order["mode"])
        if do == "make":
            return self.make(key)
        if do == "time":
            return self.steps[key].time(order["steps"])
        if do == "profile":
            return self.steps[key].profile(order["top"])
        if do == "count":
            return self.steps[key].count()
        if do == "drop":
            del self.steps[key]
            return {}
        raise ValueError(f"unknown order {do!r}")

    def make(self, key: tuple[str, str]) -> dict[str, Any]:
        """Build a step and run it until it is warm."""
        import torch

        cuda = torch.cuda.is_available()
        before, held_before = (torch.cuda.memory_allocated(), held_memory()) if cuda else (0, 0)
        start = time.perf_counter()
        step = Step(*key, **self.options)
        built = time.perf_counter()
        losses = step()
        step.wait()
        first = time.perf_counter()
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        for _ in range(4):
            step()
        step.wait()
        self.steps[key] = step
        peak = max(torch.cuda.max_memory_allocated() - before, held_memory() - held_before) if cuda else 0
        loss = float(sum(value.item() for value in losses.values()))
        return {"build_s": built - start, "first_step_s": first - built, "peak_gib": peak / 2**30, "first_loss": loss}

    def serve(self) -> None:
        """Answer orders until there are no more; an exception becomes the answer's ``error``."""
        for line in sys.stdin:
            try:
                answer = self.answer(json.loads(line))
            except Exception as error:
                traceback.print_exc()
                message = (str(error).strip().splitlines() or [""])[0]
                answer = {"error": f"{type(error).__name__}: {message[:300]}"}
            ANSWERS.write(json.dumps(answer) + "\n")
            ANSWERS.flush()


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    sys.stdout = sys.stderr
    Worker(json.loads(sys.argv[2])).serve()
