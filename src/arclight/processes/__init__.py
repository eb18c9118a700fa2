"""The processes of a run: devices, nodes, ranks, and the watcher of each process."""
