"""Bytes on disk: atomic files, content hashes, content-addressed arrays."""
