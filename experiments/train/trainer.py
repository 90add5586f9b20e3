"""Lightning's Trainer with one verb more."""

from typing import Literal

from lightning.pytorch import LightningDataModule, LightningModule, Trainer


class ExperimentTrainer(Trainer):
    """A :class:`~lightning.pytorch.Trainer` that can run an experiment from start to metrics.

    Attributes:
        tested: weights that :meth:`exp` tests after training, the ``best`` checkpoint or the ``last`` step's.
    """

    tested: Literal["best", "last"] = "best"

    def exp(
        self,
        model: LightningModule,
        datamodule: LightningDataModule | None = None,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train, then test what ``tested`` says.

        Args:
            model: the method.
            datamodule: the data.
            ckpt_path: checkpoint to resume from; ``last`` is the experiment's newest.
            weights_only: load nothing but tensors and plain values from checkpoints.
        """
        self.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=weights_only)
        best = None
        if self.tested == "best":
            best = getattr(self.checkpoint_callback, "best_model_path", None) or None
        self.test(model, datamodule=datamodule, ckpt_path=best, verbose=False, weights_only=weights_only)
