"""Where masks come from: proposers that see the image and never the text."""
