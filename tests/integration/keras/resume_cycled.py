"""Resume saved trainings in another process, and print the weights of each.

Arguments: the update to resume with, the models.
"""

import json
import sys

import keras
import numpy as np

import clr_keras  # noqa: F401  Registers the optimizers.


def main(first, gradients, *paths):
    gradients = np.load(gradients)[int(first) :]
    targets = np.full((len(gradients), 1), -1000.0, "float32")
    given = []
    for path in paths:
        model = keras.saving.load_model(path)
        model.fit(gradients, targets, batch_size=1, shuffle=False, verbose=0)
        given.append([weight.hex() for weight in model.get_weights()[0][:, 0].tolist()])
    print(json.dumps(given))


main(*sys.argv[1:])
