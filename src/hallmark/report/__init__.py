"""Runs, sets of repeats and sweeps as one page: Markdown and self-contained HTML."""
