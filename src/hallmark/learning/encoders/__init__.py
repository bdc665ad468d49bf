"""Pretrained towers by name or local path."""
