"""A run on disk: identity, record, state, lock, predictions."""
