"""Compose, check and freeze a config: everything that happens before torch is imported."""
