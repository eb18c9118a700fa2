"""Data modules, loaders, the order of samples, and the facts of a dataset."""
