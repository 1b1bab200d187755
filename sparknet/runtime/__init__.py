"""Runs compiled nets: data, training rounds, run folders, inference. Spark is imported only where Spark is used."""
