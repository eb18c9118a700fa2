"""Semantic segmentation: images with masks, a U-Net, and mean IoU."""
