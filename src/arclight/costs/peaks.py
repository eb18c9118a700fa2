"""Limits of devices: peak FLOP/s from data sheets, and free memory."""

import re
import time
from pathlib import Path

import torch

# Dense TFLOP/s (10^12 per second) without sparsity, accumulated in fp32: TF32 (fp32 if the GPU has
# no TF32); bf16; fp16. From NVIDIA's data sheets (A100, H100, H200, B200, L4, L40S, A10, V100,
# T4), and for RTX cards from appendix A of the Ada (2022) and the Ampere GA102 (2020) whitepapers.
PEAKS: dict[str, tuple[float, float | None, float]] = {
    r"B200": (1125.0, 2250.0, 2250.0),
    r"H200 NVL": (417.5, 835.5, 835.5),
    r"H200": (494.7, 989.4, 989.4),
    r"H100 PCIe": (378.0, 756.0, 756.0),
    r"H100 NVL": (417.5, 835.5, 835.5),
    r"H100": (494.7, 989.4, 989.4),
    r"A100": (156.0, 312.0, 312.0),
    r"L40S": (183.0, 362.0, 362.0),
    r"L4": (60.5, 121.0, 121.0),
    r"A10": (62.5, 125.0, 125.0),
    r"RTX 4090 D": (73.5, 147.0, 147.0),
    r"RTX 4090": (82.6, 165.2, 165.2),
    r"RTX 3090 Ti": (40.0, 80.0, 80.0),
    r"RTX 3090": (35.6, 71.0, 71.0),
    r"V100-PCIE": (14.0, None, 112.0),
    r"V100": (15.7, None, 125.0),
    r"T4": (8.1, None, 65.0),
}


def peak_flops(name: str, precision: str) -> float | None:
    """The peak FLOP/s of a GPU by its data sheet; None if it is not in the table.

    With float8 the peak of bf16 is used, because only some matrix products are in float8. So the
    MFU can be higher than with the same computation in bf16.

    Args:
        name: as returned by `torch.cuda.get_device_name`.
        precision: the trainer's precision.
    """
    if re.search(r"\b(Laptop|MIG)\b", name):  # less power, or a part of the GPU
        return None
    for card, peaks in PEAKS.items():
        if re.search(rf"\b{card}\b", name):
            tera = peaks[{"bf16-mixed": 1, "16-mixed": 2}.get(precision, 0)]
            return None if tera is None else tera * 1e12
    return None


def device_peak(device: torch.device, precision: str) -> float | None:
    """`peak_flops` of a device of this machine; None for CPUs and unknown GPUs."""
    if device.type != "cuda":
        return None
    return peak_flops(torch.cuda.get_device_name(device), precision)


def matmul_rate() -> float:
    """The FLOP/s of a matrix product on this CPU, measured in a few milliseconds."""
    n = 384
    a, b = torch.ones(n, n), torch.ones(n, n)
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / min(seconds)


def free_memory(device: torch.device) -> int | None:
    """Free memory in bytes: of the GPU, or of the machine and its control group; None: unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", info.read_text())
    sizes = [int(found[1]) * 1024] if found else []
    group = Path("/sys/fs/cgroup")
    most, used = group / "memory.max", group / "memory.current"
    if most.is_file() and used.is_file() and most.read_text().strip().isdigit():
        sizes.append(int(most.read_text()) - int(used.read_text()))
    return min(sizes, default=None)
