"""Generated videos of real and forged faces."""
