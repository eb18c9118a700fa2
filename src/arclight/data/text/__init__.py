"""Text: from files and tables to tokens, and the data modules that serve them."""
