"""What is finished and has not changed since says so from a note in the cache, without torch."""
