"""Predictions in, tables and figures out."""
