"""Images with texts: data, contrastive learning, captioning, models."""
