"""Example code for exported models that generate images from noise."""

from math import prod

from arclight.tasks.usage import Usage


def noise_usage(shape: tuple[int, ...], code: str) -> Usage:
    """The example of a program that generates images from noise.

    Args:
        shape: shape of the noise for one image.
        code: turns the noise `x` into `image`, from -1 to 1.
    """
    if prod(shape) < 16 or prod(shape) % 16:
        raise NotImplementedError("torch draws noise of this size differently")
    return Usage(
        asks="SEED...",
        code=f"""
SHAPE = {(1, *shape)}  # shape of the noise


def noise(seed):  # what torch draws: torch.randn(SHAPE, generator=...manual_seed(seed))
    count = int(np.prod(SHAPE))
    bits = np.frombuffer(np.random.RandomState(seed % 2**32).bytes(4 * count), "<u4") % 2**24
    u, v = (bits / 2**24).reshape(-1, 2, 8).transpose(1, 0, 2)
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v  # Box & Muller (1958)
    drawn = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return drawn.reshape(SHAPE).astype(np.float32)


for seed in map(int, sys.argv[1:]):
    x = noise(seed)
{code}    pixels = (image / 2 + 0.5).clip(0, 1)  # (1, channels, height, width)
    print(json.dumps({{"seed": seed, "pixels": pixels.ravel().tolist()}}))
""",
    )
