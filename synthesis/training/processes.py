"""Where a run computes: one device, or several processes with a device each.

Alone, nothing here costs anything. Several are started by ``accelerate launch`` (or torchrun): each
draws batches of its own, gradients are averaged over them, so all hold the same weights to the bit,
and the first one alone writes and reports.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from synthesis.training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accelerate import Accelerator

__all__ = ["Processes"]


class Processes:
    """The processes of a run, this one among them.

    Args:
        device: ``auto`` (a GPU where there is one), or torch's name of one.

    Attributes:
        device: Of this process.
        count: Of processes.
        rank: Of this one; the first is 0.

    Raises:
        RecipeError: The device does not exist, or accelerate is needed and not installed.
    """

    def __init__(self, device: str = "auto") -> None:
        self._accelerator: Accelerator | None = None
        self.count, self.rank = 1, 0
        wants_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # the launcher's word
            try:
                from accelerate import Accelerator
            except ImportError as error:
                raise RecipeError(
                    "several processes need accelerate: pip install 'dicom-node[training]'"
                ) from error
            self._accelerator = Accelerator(cpu=wants_cpu)
            self.count = self._accelerator.num_processes
            self.rank = self._accelerator.process_index
            self.device = self._accelerator.device
            return
        name = ("cpu" if wants_cpu else "cuda") if device == "auto" else device
        try:
            self.device = torch.device(name)
            torch.empty(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise RecipeError(f"device {device}: torch cannot use it on this machine") from error

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and reports."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every process the mean of all processes' gradients, in one message."""
        if self._accelerator is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        together = self._accelerator.reduce(together, reduction="mean")
        begin = 0
        for gradient in gradients:
            gradient.copy_(together[begin : begin + gradient.numel()].view_as(gradient))
            begin += gradient.numel()

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of them: all stop at the same update."""
        if self._accelerator is None:
            return flag
        seen = torch.tensor([float(flag)], device=self.device)
        return bool(self._accelerator.reduce(seen, reduction="sum").item() > 0)

    def wait(self) -> None:
        """Until all have come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()
