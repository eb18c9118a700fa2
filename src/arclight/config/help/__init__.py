"""Help for a command line: explained faults, completion, origins of values, schemas for editors."""
