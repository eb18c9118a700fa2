"""What a run costs: arithmetic, memory and time, counted before it and measured during it."""
