"""The tables `As the paper prints it` of docs/methods, read and held against the repository."""

import functools
import os
import re
from dataclasses import dataclass

import pytest
import yaml
from jsonargparse import ArgumentError

from experiments.config.compose import EXPERIMENTS, compose
from experiments.train.cli import SegdepthCLI

HEADING = "## As the paper prints it"
COLUMNS = ("the paper (section)", "runs by default", "option for the other reading", "where", "test")
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
SETTING = re.compile(r"((?:model|data|trainer|run)\.[\w.]+): (.+)")
NONE = ("", "\N{EN DASH}")


class ParsingCLI(SegdepthCLI):
    """The suite's own parser of `exp`, which builds and runs nothing."""

    def __init__(self, experiment):
        composition = compose(experiment.split())
        self.arguments = ["exp", "--config", yaml.safe_dump(composition.config)]
        super().__init__(composition, self.arguments)

    def init_parser(self, **kwargs):
        """A parser that takes whole names only: a page's key must not be a key's beginning."""
        return super().init_parser(allow_abbrev=False, **kwargs)

    def _set_seed(self):
        pass

    def before_instantiate_classes(self):
        pass

    instantiate_classes = after_instantiate_classes = before_instantiate_classes

    def _run_subcommand(self, subcommand):
        pass

    def complaints(self, settings):
        """Why settings are refused, or are none since the experiment has them already; what is missing is an option.

        Parsing takes half a second: as many settings as have different keys are parsed at once, and again one by one
        where they are not accepted together.

        Args:
            settings: pairs of key and value.

        Returns:
            Pair to reason.
        """
        found, rounds = {}, []
        for setting in dict.fromkeys(settings):
            free = next((one for one in rounds if setting[0] not in dict(one)), None)
            if free is None:
                rounds.append(free := [])
            free.append(setting)
        for together in rounds:
            if len(together) > 1 and self._refusal(together):
                rounds += [[setting] for setting in together]
            else:
                found |= {setting: reason for setting in together if (reason := self._refusal([setting], together))}
        return found

    def _refusal(self, asked, parsed=None):
        """Reason why settings are refused when ``parsed`` together, or the one asked for has its value anyway."""
        try:
            changed = self._parse(tuple(parsed or asked))
        except ArgumentError as error:
            return f"is refused: {' '.join(str(error).split())[-300:]}"
        same = all(changed["exp"].get(key) == self.config["exp"].get(key) for key, _ in asked)
        return "is what runs by default" if same else None

    @functools.lru_cache(maxsize=1)  # noqa: B019  (the parsers live as long as the tests)
    def _parse(self, settings):
        return self.parser.parse_args([*self.arguments, *(f"--{key}={value}" for key, value in settings)])


@functools.cache
def parser_of(experiment):
    """The parser that holds an experiment's configuration, wherever its data may lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_ROOT", "somewhere")
        return ParsingCLI(experiment)


@dataclass(frozen=True)
class Row:
    """A row of the table: cells by column, and the line that it stands in."""

    cells: dict[str, str]
    line: int

    def links(self, column):
        """Text and target of each link of a cell."""
        return [(text.strip("`"), target.partition("#")[0]) for text, target in LINK.findall(self.cells[column])]

    @property
    def options(self):
        """What the option's cell names, in backticks."""
        return re.findall(r"`([^`]+)`", self.cells[COLUMNS[2]])


def read_rows(page):
    """The rows of a page's table.

    Raises:
        ValueError: if the page has no such table, or a row has other columns.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    if HEADING not in lines:
        raise ValueError(f"{page.name} has no section `{HEADING}`")
    rows, titles = [], None
    for number, line in enumerate(lines[lines.index(HEADING) + 1 :], lines.index(HEADING) + 2):
        if line.startswith("## "):
            break
        if not line.startswith("|"):
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if set("".join(cells)) <= set("-: "):
            continue
        if len(cells) != len(COLUMNS):
            raise ValueError(f"{page.name}:{number}: {len(cells)} cells, need {len(COLUMNS)}: {', '.join(COLUMNS)}")
        if titles is None or tuple(cells) == titles:  # a long table may be several, each with its titles
            titles = tuple(cells)
            if titles != COLUMNS:
                raise ValueError(f"{page.name}:{number}: columns must be {', '.join(COLUMNS)}")
            continue
        rows.append(Row(dict(zip(COLUMNS, cells, strict=True)), number))
    if not rows:
        raise ValueError(f"{page.name}: the section `{HEADING}` has no row")
    return rows


def complaints(page, experiments):
    """What a page's table says that is not so, one line each.

    Args:
        page: the Markdown file.
        experiments: whose settings the page names; a setting must be an option of one of them. A name may be followed
            by that of other data.
    """
    found = []
    rows = read_rows(page)
    settings = [setting.groups() for row in rows for option in row.options if (setting := SETTING.fullmatch(option))]
    refused = {}
    for number, experiment in enumerate(experiments):
        again = settings if number == 0 else list(refused)
        refused = {key: refused.get(key, why) for key, why in parser_of(experiment).complaints(again).items()}
    for row in rows:
        said = [
            *(f"`{column}` is empty" for column in COLUMNS[:2] if row.cells[column] in NONE),
            *_file_complaints(page, row, "where", (".py", ".yaml", ".csv")),
            *_file_complaints(page, row, "test", (".py",)),
            *_test_complaints(page, row),
            *_option_complaints(row, refused),
        ]
        found += [f"{page.name}:{row.line}: {text}" for text in said]
    return found


def _file_complaints(page, row, column, endings):
    links = row.links(column)
    if not links:
        yield f"`{column}` has no link"
    for _, target in links:
        if not target.endswith(endings):
            yield f"`{column}`: {target} is none of {', '.join(endings)}"
        elif not (page.parent / target).is_file():
            yield f"`{column}`: there is no file {target}"


def _test_complaints(page, row):
    for text, target in row.links("test"):
        file, _, test = text.partition("::")
        path = page.parent / target
        if file != os.path.basename(target):
            yield f"`test`: {text} leads to {target}"
        if test and path.is_file() and not re.search(rf"^ *def {re.escape(test)}\(", path.read_text("utf-8"), re.M):
            yield f"`test`: there is no {test} in {target}"


def _option_complaints(row, refused):
    cell = row.cells[COLUMNS[2]]
    if cell not in NONE and not row.options:
        yield "the option's cell names no experiment or setting in backticks"
    for option in row.options:
        if setting := SETTING.fullmatch(option):
            if reason := refused.get(setting.groups()):
                yield f"`{option}` {reason}"
        elif not (EXPERIMENTS / f"{option}.yaml").is_file():
            yield f"there is no experiment `{option}`"
