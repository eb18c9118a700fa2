"""The project's own networks: plain `nn.Module`s that import neither Lightning nor Hydra."""
