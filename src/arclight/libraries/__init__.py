"""What the engine needs of libraries beyond their public names: one file a library."""
