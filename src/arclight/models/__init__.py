"""Functions for all models: find blocks and heads, frozen parts, pretrained weights."""
