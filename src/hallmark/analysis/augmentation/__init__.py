"""Bad cases as extra training rows."""
