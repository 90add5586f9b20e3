"""Options of the command line that would do nothing in a command: refused, or said."""

from collections.abc import Iterable

from experiments.config.error import ConfigError

#: Options of the data that only training looks at.
OF_TRAINING = ("crop", "hflip", "color_jitter", "divide_depth_by_zoom", "batch_size", "on_bad_sample")
#: Those that say how a network is shown a frame.
OF_VIEWS = (
    "resize",
    "eval_size",
    "derived",
    "mean",
    "std",
    "extra_tests",
    "variants",
    "eval_batch_size",
    "num_workers",
)

#: Options of the data that a command which reads whole frames has no use for.
IDLE: dict[str, tuple[str, ...]] = {
    "verify": (*OF_TRAINING, *OF_VIEWS, "superpixels"),
    "preview": (*OF_TRAINING, *OF_VIEWS),
    "convert": (*OF_TRAINING, *OF_VIEWS, "superpixels", "val_scenes"),
    "evaluate": (*OF_TRAINING, "resize", "eval_size", "superpixels", "derived", "extra_tests", "variants"),
}

#: What to do instead.
INSTEAD = {
    "resize": "frames are taken as they are; `preprocess` with datamodules.ResizeFrame makes them smaller",
    "num_workers": "set `--workers`",
    "superpixels": "with `superpixels_of: frame` they are made of whole frames",
}

#: Options that `validate`, `test` and `predict` have no use for.
ONLY_TRAINING = (
    *(f"data.init_args.{name}" for name in OF_TRAINING),
    *(f"model.init_args.{name}" for name in ("optimizer", "lr_scale", "schedule", "nonfinite")),
    *(
        f"trainer.{name}"
        for name in (
            "max_epochs", "max_steps", "max_time", "accumulate_grad_batches", "check_val_every_n_epoch",
            "gradient_clip_val", "limit_train_batches",
        )
    ),
    "run.monitor", "run.resume", "run.tested",
)  # fmt: skip


def refuse_idle(command: str, flags: Iterable[str]) -> None:
    """Refuse flags of the data that would change nothing.

    Args:
        command: ``verify``, ``convert``, ``preview`` or ``evaluate``.
        flags: dotted keys that the command line sets.

    Raises:
        ConfigError: naming the first, and what does what it was meant to do.
    """
    set_ = set(flags)
    whole_frames = any(flag.endswith("superpixels_of") for flag in set_)
    for flag in sorted(set_):
        name = flag.removeprefix("data.init_args.").partition(".")[0]
        if (
            not flag.startswith("data.init_args.")
            or name not in IDLE[command]
            or (name == "superpixels" and whole_frames)
        ):
            continue
        instead = INSTEAD.get(name, "leave it out") if command != "evaluate" else "leave it out"
        raise ConfigError(f"command line: `--{flag}` changes nothing in `{command}`: {instead}")


def idle_in_trainer(command: str, flags: Iterable[str]) -> list[str]:
    """Return flags that change nothing in ``validate``, ``test`` or ``predict``, for a line that says so."""
    if command in ("exp", "fit"):
        return ["run.tested"] if command == "fit" and "run.tested" in set(flags) else []
    return [flag for flag in flags if any(f"{flag}.".startswith(f"{idle}.") for idle in ONLY_TRAINING)]
