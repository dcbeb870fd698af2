"""Brings up the suite: the graph's one description, and what starts and watches it."""
