"""The papers' tables again: what is printed, what we compute, and whether it fits."""
