"""Experiments whose numbers can be defended."""
