"""A research project without Arclight, written as in Lightning's documentation."""
