"""Figures, and the style that they share."""
