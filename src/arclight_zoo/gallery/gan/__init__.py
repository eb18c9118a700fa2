"""Image generation with a generative adversarial network."""
