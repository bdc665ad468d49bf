"""From files to splits: images, texts, leakage gate, the base data module."""
