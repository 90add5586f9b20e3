"""`segdepth claims --list`: every claim, what the paper's own tables say of it, and what finished runs say."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.comparison.run_records import RunRecord
from experiments.config.arguments import take_flag
from experiments.config.compose import ConfigError
from experiments.grid.jobs import Job
from experiments.health.surroundings import table_width
from experiments.judging.claim import Claim, ClaimsSpec
from experiments.judging.outcomes import ArmRun, ClaimState, claim_states, judge_claims
from experiments.judging.printed_tables import PrintedOutcome, judge_printed
from experiments.judging.report import finished
from experiments.results.run_files import in_order, read_json
from experiments.results.table_formats import to_markdown
from experiments.results.table_layout import Sheet

#: Flags that only set a run's folder, name, tags or seed: runs of one arm differ in them.
OWN_FLAGS = ("--run.root", "--run.name", "--run.tags+", "--run.resume", "--seed_everything")

#: Most printed values that a line of the list shows.
SHOWN = 2

#: Makes the jobs of a claims file with flags for every run, as `segdepth claims` does.
MakeJobs = Callable[[ClaimsSpec, Path, Sequence[str]], Mapping[tuple[str, int], Job]]

STYLES = {
    "supports": "green", "contradicts": "red", "equal": "yellow", "not printed": "dim",
    "holds": "green", "does not hold": "red", "undecided": "yellow", "too few runs": "yellow", "not run": "dim",
    "cannot be run": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What is known of a claim.

    Attributes:
        state: one of ``holds``, ``does not hold``, ``undecided``, ``too few runs``, ``not run`` or ``cannot be run``.
        where: test set and profile, or how many runs there are; empty where there is nothing to say.
    """

    state: str
    where: str = ""

    @property
    def text(self) -> str:
        """Return what a reader is shown."""
        return f"{self.state} ({self.where})" if self.where else self.state


@dataclass(frozen=True)
class Listed:
    """A line of the list.

    Attributes:
        file: name of the claims file.
        claim: the claim.
        printed: outcome by the paper's own tables.
        measured: outcomes by finished runs, one per test set and profile.
    """

    file: str
    claim: Claim
    printed: PrintedOutcome
    measured: tuple[Measured, ...]


def list_claims(
    specs: Mapping[str, ClaimsSpec], root: Path, extra: Sequence[str] | None, make_jobs: MakeJobs
) -> list[Listed]:
    """Return all claims of some files, in order; nothing is trained.

    Args:
        specs: name of each claims file to its content.
        root: folder of all runs.
        extra: flags that every run must have had; None for any flags.
        make_jobs: makes the jobs of a claims file.

    Raises:
        ConfigError: if a file of a run cannot be read.
    """
    commands = list(_commands(root))
    listed = []
    for file, spec in specs.items():
        extras = [tuple(extra)] if extra is not None else _extras(spec, commands)
        runs = [(flags, _runs(spec, root, flags, make_jobs)) for flags in extras]
        states = [(own, claim_states(judge_claims(spec, own))) for _, own in runs if finished(own)]
        costs = claim_states([o for o in judge_claims(_costs_only(spec), []) if o.comparison.is_cost])
        for claim in spec.claims:
            listed.append(Listed(file, claim, judge_printed(spec, claim), tuple(_measured(claim, states, costs))))
    return listed


def _costs_only(spec: ClaimsSpec) -> ClaimsSpec:
    """Return a file with the claims that are of costs alone."""
    claims = tuple(claim for claim in spec.claims if all(c.is_cost for c in claim.comparisons))
    return ClaimsSpec(spec.title, spec.paper, (), spec.arms, claims)


def _measured(
    claim: Claim, found: Sequence[tuple[Sequence[ArmRun], Sequence[ClaimState]]], costs: Sequence[ClaimState]
) -> Iterator[Measured]:
    """Yield what is known of a claim: by costs, or by each set of runs that were made alike."""
    if not claim.comparisons:
        yield Measured("cannot be run")
        return
    if all(comparison.is_cost for comparison in claim.comparisons):
        yield from (Measured(state.verdict, "counted") for state in costs if state.claim is claim)
        return
    arms = {arm for c in claim.comparisons if not c.is_cost for arm in (c.arm, c.than)}
    nothing = True
    for runs, states in found:
        own = [run for run in runs if run.arm in arms]
        done = finished(own)
        if len({run.arm for run in done}) < 2:  # no two to compare
            continue
        nothing = False
        environment = done[0].record.environment
        place = f"{(environment.get('data') or {}).get('name', 'unrecorded')}, profile {environment.get('profile')}"
        if len(done) < len(own):
            yield Measured("too few runs", f"{len(done)} of {len(own)}, {place}")
            continue
        seeds = len({run.seed for run in own})
        for state in (state for state in states if state.claim is claim):
            tested = f"{state.dataset}, " if state.dataset and not place.startswith(f"{state.dataset},") else ""
            missing = "" if state.dataset else "no such metric, "
            yield Measured(state.verdict, f"{tested}{missing}{place}, {seeds} seeds")
    if nothing:
        yield Measured("not run")


def _commands(root: Path) -> Iterator[list[str]]:
    """Yield the words after `exp` of the commands that made the finished runs, newest first."""
    folders = [path.parent for path in root.glob("*/*/metrics.json")]
    for folder in reversed(in_order(folders, lambda folder: (folder / "metrics.json").stat().st_mtime)):
        words = str(read_json(folder / "environment.json").get("command", "")).split()
        if "exp" in words:
            yield words[words.index("exp") + 1 :]


def _extras(spec: ClaimsSpec, commands: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the flags, beside the arms' own, with which any arm was run; each once."""
    arms = [take_flag(spec.arm_words(arm)[1:], "--config", "-c") for arm in spec.trained]
    experiments = [spec.arm_words(arm)[0] for arm in spec.trained]
    found: dict[tuple[str, ...], None] = {}
    for words in commands:
        configs, rest = take_flag(words, "--config", "-c")
        for flag in OWN_FLAGS:
            _, rest = take_flag(rest, flag)
        fitting = []
        for experiment, (own_configs, own_flags) in zip(experiments, arms, strict=True):
            first = [experiment, *own_configs]
            kept = len(rest) - len(own_flags)
            if configs[: len(first)] == first and rest[kept:] == own_flags:
                others = [word for config in configs[len(first) :] for word in ("--config", config)]
                fitting.append((*others, *rest[:kept]))
        if fitting:
            found.setdefault(min(fitting, key=len))  # of the arm that most of the command is of
    return list(found)


def _runs(spec: ClaimsSpec, root: Path, extra: Sequence[str], make_jobs: MakeJobs) -> list[ArmRun]:
    """Return the runs that `segdepth claims` would make with some flags; none if these cannot be used today."""
    try:
        jobs = make_jobs(spec, root, extra)
    except ConfigError:
        return []
    return [ArmRun(arm, seed, RunRecord(job.folder)) for (arm, seed), job in jobs.items()]


def print_list(listed: Sequence[Listed], titles: Mapping[str, str]) -> None:
    """Print the list, a table a file, and the counts of both verdicts."""
    console = Console(width=table_width(Console(markup=False).width), markup=False)
    for file, title in titles.items():
        table = Table(
            "claim", "source", "the paper's tables say", "runs say", title=f"{file}: {title}", show_lines=True
        )
        for line in (line for line in listed if line.file == file):
            printed = Text(line.printed.verdict, STYLES[line.printed.verdict])
            if values := line.printed.text(SHOWN):
                printed.append(f"\n{values}", "default")
            measured = Text("\n").join(Text(one.text, STYLES[one.state]) for one in line.measured)
            table.add_row(Text(line.claim.text), Text(line.claim.source), printed, measured)
        console.print(table)
        for note in _notes([line for line in listed if line.file == file]):
            console.print(f"  {note}", highlight=False, style="dim")
        console.print()
    console.print(counts(listed), highlight=False)


def _notes(listed: Sequence[Listed]) -> list[str]:
    """Return the notes on the printed values of some lines, each once."""
    return [f"* {note}" for note in dict.fromkeys(note for line in listed for note in line.printed.notes)]


def counts(listed: Sequence[Listed]) -> str:
    """Return a sentence that counts the claims and their verdicts."""
    printed = _tally([line.printed.verdict for line in listed])
    measured = _tally([line.measured[0].state for line in listed])
    return f"{len(listed)} claims. By the paper's own tables: {printed}. By runs (the latest): {measured}."


def _tally(words: Sequence[str]) -> str:
    return ", ".join(f"{words.count(word)} {word}" for word in STYLES if word in words)


def list_markdown(listed: Sequence[Listed], specs: Mapping[str, ClaimsSpec], command: Sequence[str]) -> str:
    """Return the list as a Markdown page.

    Args:
        listed: lines of the list.
        specs: name of each claims file to its content.
        command: command that makes the page again.
    """
    header = ["claim", "source", "the paper's tables say", "runs say"]
    sheets = []
    for file, spec in specs.items():
        own = [line for line in listed if line.file == file]
        lines = [
            [
                line.claim.text,
                line.claim.source,
                ": ".join(filter(None, [line.printed.verdict, line.printed.text()])),
                "; ".join(one.text for one in line.measured),
            ]
            for line in own
        ]
        sheets.append(Sheet(f"{spec.title} ({file})", header, len(header), [lines], _notes(own)))
    lead = f"# Claims of the four papers\n\nMade by `{shlex.join(command)}`; see [claims](claims.md). {counts(listed)}"
    return f"{lead}\n\n{to_markdown(sheets)}"
