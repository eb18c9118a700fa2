"""What a model learns from: sources, splits, order, augmentation, loaders, and the data modules."""
