"""Handwritten digits of scikit-learn, 8 by 8 pixels: the smallest complete system."""
