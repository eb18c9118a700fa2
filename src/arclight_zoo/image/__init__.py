"""Images with labels: data, classification, models."""
