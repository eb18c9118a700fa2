"""The suite of `scripts/faults.py` in its short form: processes that are killed and told to stop."""
