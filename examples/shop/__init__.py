"""A small shop: the example that the demo and the documentation trace."""
