"""The checks of `hallmark doctor`; each yields what it found and imports what it needs itself."""
