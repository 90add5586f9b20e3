"""Runs on disk and the numbers of the papers: where they lie, what they hold, tables of both."""
