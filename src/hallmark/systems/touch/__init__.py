"""Actions and states of a person from body signals and touch, learned together."""
