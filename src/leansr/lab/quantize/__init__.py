"""Networks of few bits: eight for int8, two for ternary weights."""
