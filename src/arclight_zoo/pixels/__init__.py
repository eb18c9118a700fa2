"""Images: sources, decoding, augmentation, loaders."""
