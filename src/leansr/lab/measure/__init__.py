"""What a network costs: operations, memory, and what they buy."""
