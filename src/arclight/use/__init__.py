"""What is done with a run that has trained: evaluate, predict, export, reproduce."""
