"""Resume a saved training in another process.

Prints how, "as saved" or "rebuilt" (with an optimizer built from its config), and the rates of all
updates. Arguments: the model, the update to resume with, the number of updates.
"""

import json
import sys

import keras
import numpy as np

import clr_keras  # noqa: F401  Registers the schedule.


def main(path, first, updates):
    x = np.eye(int(updates), dtype="float32")[int(first) :]
    y = np.full((len(x), 1), -1000.0)
    how, model = "as saved", keras.saving.load_model(path)
    try:
        model.train_on_batch(x[:1], y[:1])
    except TypeError as error:
        how, model = f"rebuilt, because of {error}", keras.saving.load_model(path)
        saved = model.optimizer
        model.compile(keras.optimizers.SGD.from_config(saved.get_config()), model.loss)
        model.optimizer.iterations.assign(keras.ops.convert_to_numpy(saved.iterations))
        model.train_on_batch(x[:1], y[:1])
    model.fit(x[1:], y[1:], batch_size=1, shuffle=False, verbose=0)
    rates = -model.get_weights()[0][:, 0]
    print(json.dumps([how, [rate.hex() for rate in rates.tolist()]]))


main(*sys.argv[1:])
