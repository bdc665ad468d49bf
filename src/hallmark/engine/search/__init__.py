"""Searching settings: the space, the plan, the study, its workers."""
