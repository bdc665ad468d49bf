"""A language model behind an OpenAI-compatible endpoint: asked in bounded time, at a rate, within a budget."""
