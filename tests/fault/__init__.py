"""What interrupts a run, done on purpose: kills, signals, damaged files, full disks."""
