"""The report of a run: one HTML file without scripts, fonts or pictures from elsewhere."""
