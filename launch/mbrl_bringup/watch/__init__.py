"""``mbrl watch``: a graph that runs, in Rerun: the scene, plots of what it says, back in time."""
