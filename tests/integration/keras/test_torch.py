"""A feature of torch alone: `torch.compile`."""

import keras
import numpy as np
import pytest
import torch

from clr_core import CyclicSchedule
from clr_keras import CyclicLR
from integration.keras.rates import BAND, SCHEDULES, UPDATES, assert_same, at


def by_function(x):
    return 1.0 / x


ALL = SCHEDULES | {"by_function": CyclicSchedule(**BAND, scale_fn=by_function)}


@pytest.mark.parametrize("accumulation", [1, 3], ids=["each", "of_3"])
@pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
def test_compiles_to_one_graph_for_all_steps(schedule, accumulation):
    graphs = []

    def counted(graph, inputs):
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    step = keras.Variable(0, dtype="int", trainable=False)
    rate = CyclicLR(schedule, accumulation)
    compiled = torch.compile(lambda: rate(step), fullgraph=True, backend=counted)
    given = []
    for number in range(UPDATES):
        step.assign(number)
        given.append(compiled().numpy())
    assert len(graphs) == 1
    assert_same(given, at(schedule, np.arange(UPDATES) // accumulation))
