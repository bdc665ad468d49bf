"""Analyses of tasks with classes."""
