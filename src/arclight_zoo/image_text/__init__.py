"""Images with texts: data, models, contrastive learning and captioning."""
