"""Papers: a grid of runs over seeds, its statistics, and claims that the runs are held against."""
