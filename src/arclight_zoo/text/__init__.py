"""Text: data, language modelling, classification, sequence to sequence, models."""
