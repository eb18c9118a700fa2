"""Fault injection: kills, signals, damaged files, full disks."""
