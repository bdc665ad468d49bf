"""Detectors: which positives they find, and what a cascade of two saves."""
