"""Analyses of predicted masks."""
