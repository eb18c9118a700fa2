"""What every model shares: its blocks and head, frozen parts, weights that others trained."""
