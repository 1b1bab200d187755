"""Runs told to other tools, as they go: a small class for each."""
