"""Networks of the Region Support Network: the generation module and the iterative refinement module."""

from lightning_modules.networks.region_support.generation import GenerationModule
from lightning_modules.networks.region_support.pyramid import PyramidPooling
from lightning_modules.networks.region_support.refinement import RefinementModule
from lightning_modules.networks.region_support.resnet34 import take_resnet34_weights

__all__ = ["GenerationModule", "PyramidPooling", "RefinementModule", "take_resnet34_weights"]
