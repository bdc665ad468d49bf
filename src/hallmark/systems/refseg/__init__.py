"""Closed-loop referring segmentation: masks proposed, ranked against an expression, asked for again."""
