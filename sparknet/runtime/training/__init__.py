"""Rounds of training as pure functions, and the run that is made of them."""
