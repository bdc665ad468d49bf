"""Pictures of characters: who is it."""
