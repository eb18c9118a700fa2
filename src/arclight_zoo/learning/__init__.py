"""What tasks of every modality learn by: losses and what is measured."""
