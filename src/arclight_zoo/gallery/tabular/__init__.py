"""Tabular data: predict a class or a number with an MLP."""
