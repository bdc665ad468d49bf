"""Several processes of one fit."""
