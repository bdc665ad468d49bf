"""Draws characters: a generator that the classifier of characters guides."""
