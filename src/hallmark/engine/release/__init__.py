"""Release a result, and verify a release."""
