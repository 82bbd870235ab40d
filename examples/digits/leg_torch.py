"""Train on the digits in torch: `scheduler.step()` after every `optimizer.step()`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import clr_torch
from clr_core import Record
from leg import run_as_leg
from problem import Problem


class TorchLeg:
    def __init__(self, problem: Problem, record: Record, weights: Any, moments: Any) -> None:
        # With matrices this small, threads would mostly wait for each other.
        torch.set_num_threads(1)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(*problem.hidden[0].shape),
            torch.nn.Tanh(),
            torch.nn.Linear(*problem.output[0].shape),
        )
        self.parameters = list(self.model.parameters())
        with torch.no_grad():
            for parameter, array in zip(self.parameters, transposed(weights), strict=True):
                parameter.copy_(torch.from_numpy(array))
        cycled = record.schedule.momentum(0) is not None
        self.optimizer = torch.optim.SGD(self.parameters, momentum=0.9 if cycled else 0.0)
        self.scheduler = clr_torch.from_record(record, self.optimizer)
        if moments is not None:
            clr_torch.from_moments(moments.rearranged(transposed), self.optimizer)

    def update(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
        # Python floats, which the update rounds to the weights' float32.
        (group,) = self.optimizer.param_groups
        used = group["lr"], group["momentum"]
        self.optimizer.zero_grad()
        logits = self.model(torch.from_numpy(images))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return *used, loss.item()

    def weights(self) -> list[np.ndarray]:
        return transposed([parameter.detach().numpy() for parameter in self.parameters])

    def save(self, folder: Path) -> None:
        record = clr_torch.to_record(self.scheduler)
        record.write(folder / "record.json")
        moments = clr_torch.to_moments(self.optimizer, record.step)
        moments.rearranged(transposed).write(folder / "moments.npz")


def transposed(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Convert between (inputs, outputs) and the (outputs, inputs) of a `Linear`."""
    return [array.T.copy() for array in arrays]


if __name__ == "__main__":
    run_as_leg("torch", TorchLeg)
