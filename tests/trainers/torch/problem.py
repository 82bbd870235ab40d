"""A small problem for trainers of torch: the digits, a linear network, SGD."""

import torch
from torch.utils.data import TensorDataset

from trainers.following import BATCH, digits

torch.set_num_threads(1)  # Several would wait for each other, as the problem is so small.
loss_of = torch.nn.functional.cross_entropy


def dataset():
    return TensorDataset(*map(torch.from_numpy, digits()))


def batches():
    """An epoch's batches, always in the same order."""
    images, labels = dataset().tensors
    return [*zip(images.split(BATCH), labels.split(BATCH), strict=True)]


def network():
    torch.manual_seed(0)
    return torch.nn.Linear(64, 10)


def sgd(model, name="SGD"):
    arguments = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(torch.optim, name)(model.parameters(), lr=0.1, **arguments)


def bits(model):
    return [each.detach().numpy().tobytes() for each in model.parameters()]
