"""What the columns of a table tell of another one: a class or a number, with an MLP."""
