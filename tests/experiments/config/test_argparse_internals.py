"""What a parser's options are, of argparse and of jsonargparse."""

import argparse

import jsonargparse
import pytest

from experiments.config.argparse_internals import options_of


@pytest.mark.parametrize("module", [argparse, jsonargparse], ids=lambda module: module.__name__)
def test_the_options_of_a_parser_are_found(module):
    parser = module.ArgumentParser()
    parser.add_argument("--first")
    parser.add_argument("second")
    said = f"`_actions` of {module.__name__} {getattr(module, '__version__', '')} are not what they were"
    assert [action.dest for action in options_of(parser)][-2:] == ["first", "second"], said
