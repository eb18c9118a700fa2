"""Record what a run used: code, packages, hardware."""
