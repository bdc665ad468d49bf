"""Configurations: what was typed, what is stored, what may be built."""
