"""Simulated studies whose true values are known, for intervals and tests to be held against."""
