"""Private names of libraries that the engine uses: one file per library."""
