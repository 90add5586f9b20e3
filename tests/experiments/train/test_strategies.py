"""The strategy overlays build what they say; FSDP itself runs on GPUs alone."""

import timm
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.strategies import FSDPStrategy, Strategy
from timm.models.vision_transformer import Block

from experiments.config.compose import EXPERIMENTS


def test_fsdp_wraps_the_blocks_of_dinov2():
    content = yaml.safe_load((EXPERIMENTS / "strategy" / "fsdp.yaml").read_text())
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Strategy, "strategy")
    strategy = parser.instantiate(parser.parse_object({"strategy": content["trainer"]["strategy"]})).strategy
    assert isinstance(strategy, FSDPStrategy)
    assert strategy.sharding_strategy.name == "FULL_SHARD"
    policy = strategy.kwargs["auto_wrap_policy"]
    network = timm.create_model("vit_small_patch14_dinov2", depth=3)
    wrapped = [
        name
        for name, module in network.named_modules()
        if policy(module=module, recurse=False, nonwrapped_numel=sum(p.numel() for p in module.parameters()))
    ]
    assert wrapped == [f"blocks.{i}" for i in range(3)]
    assert all(isinstance(network.get_submodule(name), Block) for name in wrapped)
