"""Pretrained encoders by name or local path."""
