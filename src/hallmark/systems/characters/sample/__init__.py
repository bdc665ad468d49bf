"""The sample world: avatars of made-up characters."""
