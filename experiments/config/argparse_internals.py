"""Private API of argparse that the command line needs: the options that a parser has, which nothing public lists.

jsonargparse's parsers are argparse's. ``test_argparse_internals.py`` fails where this has changed.
"""

from argparse import Action, ArgumentParser


def options_of(parser: ArgumentParser) -> list[Action]:
    """Return the options and arguments of a parser, in the order in which they were added."""
    return list(parser._actions)
