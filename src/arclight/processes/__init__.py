"""The processes of a run: devices, nodes, ranks, and who watches whom."""
