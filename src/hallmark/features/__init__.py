"""Content-addressed store of frozen-encoder outputs."""
