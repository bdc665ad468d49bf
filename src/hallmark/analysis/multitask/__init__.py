"""Analyses of several tasks or loss terms learned at once."""
