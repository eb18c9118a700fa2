"""The costs of a run: FLOPs, memory and time, estimated before and measured during training."""
