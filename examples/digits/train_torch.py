"""Train on the digits in torch: `scheduler.step()` after every `optimizer.step()`."""

import numpy as np
import torch

import clr_torch
from problem import Problem
from progress import counted
from training import Training, run_as_script


def train(problem: Problem) -> Training:
    # With matrices this small, threads would mostly wait for each other.
    torch.set_num_threads(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(*problem.hidden[0].shape),
        torch.nn.Tanh(),
        torch.nn.Linear(*problem.output[0].shape),
    )
    with torch.no_grad():
        for layer, (kernel, bias) in ((model[0], problem.hidden), (model[2], problem.output)):
            layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias))

    optimizer = torch.optim.SGD(model.parameters(), lr=problem.schedule.base_lr)
    scheduler = clr_torch.CyclicLR.from_schedule(optimizer, problem.schedule)

    images = torch.from_numpy(problem.images)
    labels = torch.from_numpy(problem.labels)
    batches = torch.from_numpy(problem.batches)
    rates, losses = [], []
    for step in counted("torch", problem.steps):
        batch = batches[step]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
        loss.backward()
        # torch keeps the rate as a Python float, and the update rounds it to the weights' float32.
        # The cast below is the same rounding.
        rates.append(np.float32(optimizer.param_groups[0]["lr"]))
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()

    with torch.no_grad():
        held_out_logits = model(torch.from_numpy(problem.held_out_images)).numpy()
    return Training(
        version=torch.__version__.partition("+")[0],
        rates=np.array(rates, np.float32),
        losses=np.array(losses),
        held_out_logits=held_out_logits,
    )


if __name__ == "__main__":
    run_as_script(train)
