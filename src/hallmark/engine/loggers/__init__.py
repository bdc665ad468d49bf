"""Loggers of a run, chosen by `logger=`; `history.csv` is written in any case."""
