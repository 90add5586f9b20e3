"""Time and profile training steps of one checkout, in a process of its own: commands on stdin, answers on stdout.

It imports nothing of this repository but ``lightning_modules``, and that of the checkout it is given, so that one file
measures an older checkout too. Each line on stdin is a JSON object with a ``do``; each answer is one JSON line.
"""

import json
import statistics
import sys
import time
import traceback
from collections import defaultdict
from typing import Any

#: Options of each network, as its experiment has them; SHED's segments are of 576 superpixels.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "DPT-Hybrid": ("DPTHybrid", {}),
    "SHED": ("SHED", {"level_fusion": "maps"}),
    "SHED light": ("SHED", {"level_fusion": "tokens"}),
}
SUPERPIXEL = 16
SHARES = (4 / 9, 2 / 9, 1 / 9)
#: Names of the classes whose modules are compiled one by one.
BLOCKS = ("Block", "Bottleneck", "BasicBlock", "ResidualConvUnit", "GraphPooling", "Unpooling", "DepthHead")
REAL_STDOUT = sys.stdout


class Step:
    """A training step of one network: autocast forward, loss, backward, check of the gradients, optimizer."""

    def __init__(self, network: str, mode: str, *, batch: int, size: int, device: str, small: bool):
        import torch

        import lightning_modules
        from lightning_modules.metrics import EvalProtocol

        self.torch, self.device = torch, device
        torch.manual_seed(0)
        name, options = NETWORKS[network]
        count = (size // SUPERPIXEL) ** 2
        if name == "SHED":
            segments = [round(share * count) for share in SHARES]
            options = options | {"segments": segments, "superpixel_size": SUPERPIXEL}
        if small:
            options = options | {"backbone": "resnet18+vit_tiny_patch16_224", "width": 16}
        protocol = EvalProtocol("speed only", min_depth=1e-3, max_depth=10.0)
        self.module = getattr(lightning_modules, name)(protocol=protocol, pretrained=False, **options)
        self.module.to(device).train()
        cell = torch.arange(size, device=device) // SUPERPIXEL
        ids = (cell[:, None] * (size // SUPERPIXEL) + cell).repeat(batch, 1, 1)
        self.batch = {
            "image": torch.randn(batch, 3, size, size, device=device),
            "superpixels": ids,
            "depth": 1 + 8 * torch.rand(batch, 1, size, size, device=device),
            "valid": torch.rand(batch, 1, size, size, device=device) > 0.2,
            "index": torch.arange(batch),
            "scene": ["none"] * batch,
        }
        self.optimizer = torch.optim.Adam(
            self.module.parameters(), lr=1e-5, **({"fused": True} if "fused" in mode else {})
        )
        self.guarded = "guard" in mode
        self.graph = None
        if "blocks" in mode:
            torch._dynamo.config.cache_size_limit = 64
            for part in self.module.modules():
                if type(part).__name__ in BLOCKS:
                    part.compile(dynamic=False)
        if "whole" in mode:
            self.module.network.compile(dynamic=False)
        self.captured = "captured" in mode

    def loss(self) -> Any:
        with self.torch.autocast(self.device, dtype=self.torch.bfloat16):
            prediction = self.module(self.batch)
            losses = self.module.losses(prediction, self.batch)
            if self.guarded:
                self.module.nonfinite.note(losses, self.batch, prediction)
            return self.torch.stack(list(losses.values())).sum()

    def capture(self) -> None:
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.loss().backward()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss().backward()

    def __call__(self) -> None:
        if self.captured and self.graph is None:
            self.capture()
        if self.graph is not None:
            self.graph.replay()
        else:
            self.optimizer.zero_grad(set_to_none=True)
            self.loss().backward()
        if self.guarded:
            self.module.nonfinite.check(self.module.parameters(), 0)
        self.optimizer.step()

    def wait(self) -> None:
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

        cuda = self.device == "cuda"
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as recorded:
            self()
            self.wait()
        kernels: dict[str, list[float]] = defaultdict(list)
        operators: dict[str, int] = defaultdict(int)
        for event in recorded.events():
            if "CUDA" in str(event.device_type):
                kernels[event.name].append(event.time_range.elapsed_us())
            elif event.name.startswith("aten::"):
                operators[event.name] += 1
        ordered = sorted(kernels.items(), key=lambda item: -sum(item[1]))
        often = sorted(operators.items(), key=lambda item: -item[1])
        return {
            "launches": sum(map(len, kernels.values())),
            "kernel_ms": sum(map(sum, kernels.values())) / 1e3,
            "kernels": [
                {"name": name[:110], "launches": len(times), "ms": sum(times) / 1e3} for name, times in ordered[:top]
            ],
            "operators": sum(operators.values()),
            "often": dict(often[:top]),
        }


class Worker:
    def __init__(self, options: dict[str, Any]):
        self.options = options
        self.steps: dict[tuple[str, str], Step] = {}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        import torch

        key = (order["network"], order["mode"])
        if order["do"] == "make":
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            step = Step(*key, **self.options)
            built = time.perf_counter()
            step()
            step.wait()
            first = time.perf_counter()
            for _ in range(3):
                step()
            step.wait()
            self.steps[key] = step
            peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0
            return {"build_s": built - start, "first_step_s": first - built, "peak_gib": peak}
        step = self.steps[key]
        if order["do"] == "time":
            return step.time(order["steps"])
        if order["do"] == "profile":
            return step.profile(order["top"])
        if order["do"] == "drop":
            del self.steps[key]
            return {}
        raise ValueError(order["do"])

    def serve(self) -> None:
        for line in sys.stdin:
            try:
                answer = self.answer(json.loads(line))
            except Exception as error:
                traceback.print_exc()
                lines = str(error).strip().splitlines() or [""]
                answer = {"error": f"{type(error).__name__}: {lines[0][:300]}"}
            REAL_STDOUT.write(json.dumps(answer) + "\n")
            REAL_STDOUT.flush()


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    sys.stdout = sys.stderr
    Worker(json.loads(sys.argv[2])).serve()
