"""Writes the models in `states/`, which test_stored_states.py reads: run once for each version.

A model that is there already stays as it is. From the root of the repository:

    export KERAS_BACKEND=tensorflow PYTHONPATH=tests
    .venv/bin/python tests/integration/keras/write_stored_states.py 0.1.0
"""

import json
import sys
from pathlib import Path

import keras

from integration.keras.cycled import GRADIENTS, fit, model, optimizer

VARIANTS = ["SGD-torch", "Adam"]
SAVED_AT = 7  # Within the rise of the second cycle; a cycle has 5.5 steps.


def main(release):
    folder = Path(__file__).with_name("states")
    for variant in VARIANTS:
        path = folder / f"{release}-{variant}.keras"
        if path.exists():
            continue
        trained = model(optimizer(variant))
        fit(trained, GRADIENTS[:SAVED_AT])
        trained.save(path)
        config = json.dumps(keras.optimizers.serialize(trained.optimizer), indent=1)
        path.with_suffix(".json").write_text(config + "\n", encoding="utf-8")


main(*sys.argv[1:])
