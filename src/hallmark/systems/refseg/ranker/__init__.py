"""Which proposal an expression means: views of regions, encoders of regions and texts, and their ranking."""
