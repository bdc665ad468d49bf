"""The research systems; none imports another."""
