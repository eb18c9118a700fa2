"""Features of images without their labels."""
