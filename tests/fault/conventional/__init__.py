"""A research project that knows nothing of Arclight, in the way of Lightning's documentation."""
