"""What a run was made of: code, packages, hardware."""
