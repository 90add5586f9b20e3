"""Guided MTI-Net ("Beneath the Surface", sections 4 and 5) on the task interaction of MTI-Net (ECCV 2020)."""

from lightning_modules.networks.mti_net.attention import GuidedAttention
from lightning_modules.networks.mti_net.network import MTINetOutput, MTINetwork

__all__ = ["GuidedAttention", "MTINetOutput", "MTINetwork"]
