"""The order of things: train, evaluate, sweep."""
