"""Tasks that generate images: samples and their scores."""
