"""Tests of differences, and their adjustment."""
