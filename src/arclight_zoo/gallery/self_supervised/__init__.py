"""Self-supervised learning of image features."""
