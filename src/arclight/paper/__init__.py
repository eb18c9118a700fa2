"""Papers: a grid of runs over seeds, its statistics, and claims that are tested on the runs."""
