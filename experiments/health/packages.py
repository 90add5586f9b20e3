"""Versions of the packages that a run's record names, however they were installed."""

import sys
from importlib.metadata import PackageNotFoundError, version

#: Distributions of OpenCV, any of which brings `cv2`; the first two have SEEDS.
OPENCV = ("opencv-contrib-python", "opencv-contrib-python-headless", "opencv-python", "opencv-python-headless")

#: Packages that a record names besides OpenCV, and the module of each.
PACKAGES = {
    "torch": "torch", "torchvision": "torchvision", "lightning": "lightning", "torchmetrics": "torchmetrics",
    "timm": "timm", "segmentation-models-pytorch": "segmentation_models_pytorch", "wandb": "wandb",
    "omegaconf": "omegaconf", "jsonargparse": "jsonargparse", "numpy": "numpy", "h5py": "h5py",
    "scikit-image": "skimage",
}  # fmt: skip


def package_version(name: str) -> str | None:
    """Return the version of a distribution; None without whole metadata, which copied environments often lack."""
    try:
        return version(name) or None
    except (PackageNotFoundError, KeyError, ValueError, OSError):
        return None


def package_versions() -> dict[str, str]:
    """Return versions by distribution; what has no metadata says its own version, if it is loaded, else ``unknown``."""
    found = {name: package_version(name) or _says(module) for name, module in PACKAGES.items()}
    opencv = {name: installed for name in OPENCV if (installed := package_version(name))}
    return found | (opencv or {"opencv": _says("cv2")})


def _says(module: str) -> str:
    return str(getattr(sys.modules.get(module), "__version__", "unknown"))
