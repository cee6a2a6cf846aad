"""Training: recipe in, weights out."""
