"""Balancing of several loss terms: one method a file."""
