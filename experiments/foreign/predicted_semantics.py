"""What a method that reads semantics reaches with predicted ones, beside what it reaches with the truth."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

import lightning_modules
from callbacks.records.metric_states import metric_states, restore_metrics
from experiments.config.compose import ConfigError
from experiments.config.old_names import rename
from experiments.results.finished_runs import PREDICTED_SEMANTICS, read_yaml
from experiments.train.checkpoint_file import read_checkpoint
from lightning_modules import DepthModule
from lightning_modules.backbones import weights_left_out
from lightning_modules.evaluated_sets import make_evaluations
from lightning_modules.prediction import Prediction

#: Metrics of which the gap is logged, predicted semantics minus true ones.
GAPS = ("abs_rel", "rmse", "log10", "delta1", "delta2", "delta3")


class PredictedSemantics(Callback):
    r"""In tests, give a method that reads ground-truth semantics those of a segmentation model as well.

    Metrics with the truth stay under ``test/<data set>/``; those with predicted semantics come under
    ``test/<data set>_predicted_semantics/``, with the segmentation's own (``miou``), and ``gap_<metric>``, by how much
    they are larger than with the truth. Semantic-MD names the need of true maps its "considerable downside"
    (section 4.2) and has no such metrics::

        segdepth test --config semantic_md_onehot40 --ckpt_path last \
            --trainer.callbacks+=experiments.foreign.predicted_semantics.PredictedSemantics \
            --trainer.callbacks.segmenter runs/semantic_md_two_head/RUN

    Args:
        segmenter: folder of a run whose method predicts semantics and reads none, or a checkpoint of one.
    """

    def __init__(self, segmenter: str):
        self.folder = segmenter
        self.segmenter: Any = None
        self.evaluations: nn.ModuleDict = nn.ModuleDict()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Load the segmentation model, before the first batch of whatever comes first.

        Raises:
            ConfigError: if it cannot be used, or the method reads no semantics.
        """
        if getattr(pl_module, "oracle", "") != "semantics":
            raise ConfigError(f"PredictedSemantics: {type(pl_module).__name__} as configured reads no semantics")
        if self.segmenter is None:
            self.segmenter = load_segmenter(find_weights(Path(self.folder)))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the metrics anew."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        method: Any = pl_module
        self.segmenter.to(method.device).eval()
        made = make_evaluations(datamodule.test_sets(), method.protocols, method.evaluation)
        self.evaluations = made.to(method.device)

    def test_state(self) -> dict[str, Any]:
        """Return the sums so far, see :class:`~callbacks.checkpoints.test_progress.HasTestState`."""
        return metric_states(dict(self.evaluations.items()))

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up the sums of a test that was stopped."""
        restore_metrics(dict(self.evaluations.items()), dict(state))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Segment the batch, let the method read that, and measure."""
        method: Any = pl_module
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            logits = self.segment(batch, method)
            prediction: Prediction = method({**batch, "semantics": logits.argmax(1) + 1})
        evaluation: Any = self.evaluations[f"test/{method.test_names[dataloader_idx]}"]
        evaluation.update(replace(prediction, semantics=logits), batch)

    def segment(self, batch: Any, pl_module: Any) -> Tensor:
        """Return class logits (B, C, H, W) of a batch whose image is normalised for the method under test.

        Raises:
            ConfigError: if the segmentation model predicts no semantics.
        """
        image, shape = batch["image"], (1, 3, 1, 1)
        (mean, std), (own_mean, own_std) = (
            tuple(image.new_tensor(values).view(shape) for values in module.normalization)
            for module in (pl_module, self.segmenter)
        )
        logits = self.segmenter({**batch, "image": (image * std + mean - own_mean) / own_std}).semantics
        if logits is None:
            raise ConfigError(f"PredictedSemantics: {type(self.segmenter).__name__} as trained predicts no semantics")
        if (wanted := getattr(pl_module, "classes", logits.shape[1])) != logits.shape[1]:
            raise ConfigError(
                f"PredictedSemantics: {type(self.segmenter).__name__} predicts {logits.shape[1]} classes, but the "
                f"method reads {wanted}: name a run with as many"
            )
        return logits

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Log the metrics, and the gaps to those with the truth, the same on every process."""
        measured: dict[str, Any] = dict(self.evaluations.items())
        for key, evaluation in measured.items():
            with_truth, metrics = pl_module.evaluations[key].compute(), evaluation.compute()
            gaps = {f"gap_{name}": metrics[name] - with_truth[name] for name in GAPS if name in metrics}
            for name, value in (metrics | gaps).items():
                pl_module.log(f"{key}{PREDICTED_SEMANTICS}/{name}", value.float(), sync_dist=True)


def find_weights(path: Path) -> Path:
    """Return a checkpoint, or that of a run's folder which the run itself was tested with."""
    if not path.is_dir():
        return path
    tested = (read_yaml(path / "config.yaml").get("run") or {}).get("tested", "best")
    return path / "checkpoints" / f"{tested}.ckpt"


def load_segmenter(path: Path) -> DepthModule:
    """Return the method of a checkpoint, with its weights.

    Raises:
        ConfigError: if it is no checkpoint of this suite, or the method reads ground truth itself.
    """
    content = read_checkpoint(path)
    method = getattr(lightning_modules, content.get("origin", {}).get("method", ""), None)
    if not (isinstance(method, type) and issubclass(method, DepthModule)):
        raise ConfigError(f"{path}: does not say which method of this suite it is of; name another run")
    stored = content["hyper_parameters"]
    options: dict[str, Any] = {name: new for name, value in stored.items() if (new := rename(value)) != value}
    with weights_left_out():  # all weights come from the checkpoint
        module = method.load_from_checkpoint(path, map_location="cpu", weights_only=True, **options)
    if module.oracle:
        raise ConfigError(f"{path}: the segmentation model reads true {module.oracle} itself; name another run")
    return module.requires_grad_(False)
