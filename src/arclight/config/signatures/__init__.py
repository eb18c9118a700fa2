"""Read signatures, types and classes from source, without importing it."""
