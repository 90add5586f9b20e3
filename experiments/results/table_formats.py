"""Tables as Markdown and as LaTeX, and records as CSV."""

import csv
import io
import re
from collections.abc import Sequence

from experiments.results.table_layout import CSV_COLUMNS, MINUS, NEVER, Sheet

#: What is special to LaTeX (a bracket after the end of a line as well), and the signs that are mathematics there.
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}",
        "↑": r"$\uparrow$", "↓": r"$\downarrow$", "δ": r"$\delta$", "ε": r"$\varepsilon$", "±": r"$\pm$",
        "²": "$^2$", "³": "$^3$",
        MINUS: "$-$", NEVER: "--",
    }
)  # fmt: skip

#: What Markdown takes for markup: underscores only at the edge of a word.
MARKDOWN = re.compile(r"[\\`*|<>~]|(?<![^\W_])_|_(?![^\W_])")


def to_markdown(sheets: Sequence[Sheet]) -> str:
    """Return tables as GitHub-flavoured Markdown, with their notes as a list."""
    blocks = []
    for sheet in sheets:
        rules = [":--"] * sheet.text_columns + ["--:"] * (len(sheet.header) - sheet.text_columns)
        lines = [sheet.header, rules, *(line for group in sheet.groups for line in group)]
        rows = ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines]
        notes = [f"- {escape_markdown(note)}" for note in sheet.notes]
        blocks += [f"### {escape_markdown(sheet.title)}", "\n".join(rows), "\n".join(notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape_markdown(text: str) -> str:
    """Return text with Markdown's special characters escaped."""
    return MARKDOWN.sub(r"\\\g<0>", text)


def to_latex(sheets: Sequence[Sheet]) -> str:
    r"""Return tables for a document with ``\usepackage{booktabs}``, each a float with its notes below."""
    blocks = []
    for sheet in sheets:
        columns = "l" * sheet.text_columns + "r" * (len(sheet.header) - sheet.text_columns)
        groups = ["\n".join(latex_line(line) for line in group) for group in sheet.groups]
        notes = [f"  {escape_latex(note)}\\par" for note in sheet.notes]
        blocks.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"  \centering",
                    rf"  \caption{{{escape_latex(sheet.title)}}}",
                    rf"  \begin{{tabular}}{{{columns}}}",
                    r"    \toprule",
                    latex_line(sheet.header),
                    r"    \midrule",
                    "\n    \\addlinespace\n".join(groups),
                    r"    \bottomrule",
                    r"  \end{tabular}",
                    *([r"  \par\smallskip\footnotesize\raggedright", *notes] if notes else []),
                    r"\end{table}",
                ]
            )
        )
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(blocks) + "\n"


def latex_line(cells: Sequence[str]) -> str:
    """Return one line of a tabular."""
    return "    " + " & ".join(map(escape_latex, cells)) + r" \\"


def escape_latex(text: str) -> str:
    """Return text with LaTeX's special characters escaped."""
    return text.translate(LATEX)


def to_csv(records: Sequence[dict[str, str]]) -> str:
    """Return records of :func:`~experiments.results.table_layout.records` as CSV, one a line."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()
