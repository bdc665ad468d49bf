"""Image+text sentiment in three classes."""
