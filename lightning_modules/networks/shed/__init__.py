"""SHED's segment hierarchy ("SHED Light on Segmentation for Depth Estimation", sections 3.1 and 3.2)."""

from lightning_modules.networks.shed.trunk import SHEDTrunk, TrunkOutput

__all__ = ["SHEDTrunk", "TrunkOutput"]
