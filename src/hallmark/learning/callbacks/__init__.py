"""Callbacks that every fit has."""
