"""Lightning's Trainer with one verb more."""

from typing import Any, Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar


class ExperimentTrainer(Trainer):
    """A :class:`~lightning.pytorch.Trainer` that can run an experiment from start to metrics.

    Args:
        limit_train_batches: number of training batches an epoch, or share of them (1.0 is all).
        limit_val_batches: the same of validation batches.
        limit_test_batches: the same of test batches.
        limit_predict_batches: the same of batches to predict.
        callbacks: as Lightning's. Experiments name a progress bar and checkpoints; the two switches below drop them.
        enable_progress_bar: False leaves every progress bar of ``callbacks`` out.
        enable_checkpointing: False leaves every checkpoint of ``callbacks`` out.
        **kwargs: of Lightning's trainer.

    Attributes:
        tested: weights that :meth:`exp` tests after training, the ``best`` checkpoint or the ``last`` step's.
    """

    tested: Literal["best", "last"] = "best"

    def __init__(
        self,
        *,
        limit_train_batches: NonNegativeInt | NonNegativeFloat | None = None,
        limit_val_batches: NonNegativeInt | NonNegativeFloat | None = None,
        limit_test_batches: NonNegativeInt | NonNegativeFloat | None = None,
        limit_predict_batches: NonNegativeInt | NonNegativeFloat | None = None,
        callbacks: list[Callback] | Callback | None = None,
        enable_progress_bar: bool | None = None,
        enable_checkpointing: bool | None = None,
        **kwargs: Any,
    ):
        unwanted: tuple[type[Callback], ...] = ()
        unwanted += (ProgressBar,) if enable_progress_bar is False else ()
        unwanted += (Checkpoint,) if enable_checkpointing is False else ()
        listed = callbacks if isinstance(callbacks, list) else [] if callbacks is None else [callbacks]
        # jsonargparse wraps these in Optional, and Python keeps one of int and float for both orders of the two:
        # where another package was first with the other, 1 would be 1.0, all batches. No other has these two types.
        super().__init__(
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            callbacks=[callback for callback in listed if not isinstance(callback, unwanted)],
            enable_progress_bar=enable_progress_bar,
            enable_checkpointing=enable_checkpointing,
            **kwargs,
        )

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
