import torch

import clr_torch
import relay


class Run:
    def __init__(self, optimizer, record, weights, moments):
        self.hidden, self.last = torch.nn.Linear(64, 16), torch.nn.Linear(16, 10)
        self.parameters = [*self.hidden.parameters(), *self.last.parameters()]
        for parameter, array in zip(self.parameters, turned(weights), strict=True):
            parameter.data = torch.tensor(array)
        if optimizer == "sgd":
            self.optimizer = torch.optim.SGD(self.parameters, momentum=0.9)
        else:
            self.optimizer = torch.optim.Adam(self.parameters, eps=1e-30)
        self.scheduler = clr_torch.from_record(record, self.optimizer)
        clr_torch.from_moments(moments.rearranged(turned), self.optimizer)

    def update(self, images, labels):
        (group,) = self.optimizer.param_groups
        used = group["lr"], group["betas"][0] if "betas" in group else group["momentum"]
        self.optimizer.zero_grad()
        logits = self.last(torch.tanh(self.hidden(torch.tensor(images))))
        torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
        self.optimizer.step()
        self.scheduler.step()
        return used

    def save(self, folder):
        record = clr_torch.to_record(self.scheduler)
        moments = clr_torch.to_moments(self.optimizer, record.step)
        weights = [parameter.detach().numpy() for parameter in self.parameters]
        relay.save(folder, record, turned(weights), moments.rearranged(turned))


def turned(arrays):
    """A `Linear` has its weight as (outputs, inputs)."""
    return [array.T.copy() for array in arrays]


if __name__ == "__main__":
    torch.set_num_threads(1)
    relay.main(Run)
