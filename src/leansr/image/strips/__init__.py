"""Pictures too large for memory, read and written some rows at a time."""
