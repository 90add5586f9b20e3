"""The options of training and testing that people use, for the beginning of their help."""

from experiments.config.commands import Command

#: Option, and what it says.
COMMON_OPTIONS = (
    ("--config NAME", "experiment, or file that changes it; several are merged in order"),
    ("--data NAME", "data set, as in `--config data/NAME`; rooms is built in"),
    ("--data_root FOLDER", "folder of the data sets' folders, instead of DATA_ROOT"),
    ("--config profile/NAME", "quick (minutes, on any machine), lite, claims, or paper (as published)"),
    ("--runs_root FOLDER", "folder of all runs (runs)"),
    ("--run.name NAME", "name of the run, which is its folder's"),
    ("--run.tags LIST", "further tags, such as [mine, first]"),
    ("--run.resume", "start the run of this name, or resume it"),
    ("--run.monitor METRIC", "validation metric of which best.ckpt has the best, such as val/rmse"),
    ("--ckpt_path FILE", "checkpoint to resume or to test: a file, best, or last"),
    ("--seed_everything N", "seed (0)"),
    ("--trainer.max_epochs N", "epochs of training"),
    ("--trainer.devices N", "processes: GPUs, or copies on the CPU (auto)"),
    ("--trainer.accelerator NAME", "auto, cpu, gpu or mps"),
    ("--trainer.precision NAME", "such as 32-true or bf16-mixed"),
    ("--trainer.accumulate_grad_batches N", "batches of an optimizer step"),
    ("--data.init_args.batch_size N", "training frames of an optimizer step, of all processes"),
    ("--data.init_args.num_workers N", "processes that read frames"),
    ("--model.init_args.backbone NAME", "encoder, of the methods that have a choice"),
    ("--model.init_args.pretrained VALUE", "weights that the encoder begins with: true, false, lite, or a file"),
)


def common_help(command: Command) -> str:
    """Return usage and the common options of a command that trains or tests."""
    width = max(len(option) for option, _ in COMMON_OPTIONS)
    lines = [f"  {option:<{width}}  {meaning}" for option, meaning in COMMON_OPTIONS]
    return "\n".join(
        [f"usage: segdepth {command.name} --config NAME [options]", "", f"  {command.example}", "", "common options:",
         *lines, "", "`--model.help CLASS` and `--data.help CLASS` list the options of a class. All options:", ""]
    )  # fmt: skip
