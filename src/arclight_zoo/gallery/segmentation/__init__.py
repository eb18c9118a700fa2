"""What each pixel of an image belongs to: images with masks, a U-Net, and its mean IoU."""
