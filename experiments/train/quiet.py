"""Silences what libraries say about themselves and no user can act on."""

import logging
import warnings

#: Beginnings of warnings, as regular expressions.
WARNINGS = (
    "LightningCLI's args parameter",  # argv and args differ on purpose
    ".*LeafSpec.* is deprecated",  # Lightning, of torch's pytree
    "The number of training batches",  # small sets are meant to be small
    "Total length of `DataLoader`",  # a test that is resumed has done a whole set
    "Found .* in eval mode at the start",  # what a stage freezes
    "The dirpath has changed",  # a checkpoint tested in another run's folder
)

#: Beginnings of what Lightning notes.
NOTES = (
    "\N{ELECTRIC LIGHT BULB}",  # advertisements
    "The following callbacks returned in `LightningModule.configure_callbacks`",  # the test after a training
)


def quieten() -> None:
    """Silence warnings of :data:`WARNINGS`, notes of :data:`NOTES`, and W&B's about panels."""
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger().addFilter(lambda record: "Images sizes do not match" not in str(record.msg))  # W&B, of panels
    tips = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    tips.addFilter(lambda record: not record.getMessage().startswith(NOTES))
