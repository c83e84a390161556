"""Torch's own generators, seeded at every step."""

import torch


def reseed(seed: int, device: torch.device) -> None:
    """Seeds torch's generators of the CPU and of one device.

    `torch.manual_seed` does this for every device type, and formats the stack for each that is absent: a third of a
    millisecond in every step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
