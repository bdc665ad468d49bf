"""Generated recordings of body signals and touch, in the folder layout of real ones."""
