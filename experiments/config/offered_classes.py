"""Classes that a configuration may name in short, and that help lists: a parser knows those that are imported."""

from types import ModuleType


def import_offered(*packages: ModuleType) -> None:
    """Import all that packages offer, which they themselves do only when asked."""
    for package in packages:
        for name in package.__all__:
            getattr(package, name)
