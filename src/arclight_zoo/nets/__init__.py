"""Parts that models share, and the doors to transformers."""
