"""What a method reads of the truth in tests, which its results then say."""

from collections.abc import Mapping
from typing import Any


class MayBeOracle:
    """Part of a method that names the truth it reads in tests.

    Attributes:
        oracle: truth that is read in tests, such as ``semantics``; results then call the method an oracle. Else empty.
    """

    oracle: str = ""

    @classmethod
    def oracle_of(cls, arguments: Mapping[str, Any]) -> str:
        """Return :attr:`oracle` of a method that is made with some arguments, without making it.

        Args:
            arguments: of the class, as a configuration has them.
        """
        return cls.oracle

    @property
    def oracle_in_use(self) -> str:
        """Return the truth that predictions are made from now, see :attr:`oracle`; it may differ between stages."""
        return self.oracle
