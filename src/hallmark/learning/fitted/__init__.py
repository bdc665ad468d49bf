"""Models that are solved at once, and how their state is kept without a pickle."""
