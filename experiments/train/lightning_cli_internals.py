"""Private API of LightningCLI, all that the command line uses, and why nothing public does.

``test_lightning_cli_internals.py`` fails with Lightning's version where one of these has changed.
"""

from typing import Any

from lightning.pytorch.cli import LightningCLI


class OpenCLI(LightningCLI):
    """LightningCLI with private parts made public.

    ``_set_seed``
        is where the command line is first acted on. A number that is no seed must be refused before, in one line;
        Lightning itself takes it and fails, or warns and takes another.
    ``_parse_ckpt_path``
        overwrites the configuration with the hyperparameters in the checkpoint. A checkpoint is tested on other data
        than it was trained on, under their own protocol: the configuration counts, and no option turns this step off.
    ``_parser``
        gives a subcommand's parser, which writes its configuration as a run's record has it; the public ``parser`` is
        that of the whole command line.
    """

    def check_seed(self) -> None:
        """Raise if the configured seed is none; called once the command line is parsed."""

    def parser_of(self, subcommand: str | None) -> Any:
        """Return the parser of a subcommand."""
        return self._parser(subcommand)

    def _set_seed(self) -> None:
        self.check_seed()
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        pass
