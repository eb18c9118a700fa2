"""Shared parts of models, and wrappers for models of transformers."""
