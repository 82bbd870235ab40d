"""Write the files in `old_files/`: models of Keras 2 with TensorFlow Addons, by the real packages.

Run by hand, in an environment of its own for each of the two:

    python3.11 -m venv old && old/bin/pip install tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
    old/bin/python tests/integration/keras/write_old_files.py

    python3.11 -m venv tf-keras && tf-keras/bin/pip install tensorflow-cpu==2.21.0
    tf-keras/bin/pip install --no-deps tf_keras==2.21.0
    tf-keras/bin/python tests/integration/keras/write_old_files.py

`contents.json` beside them has what the old framework says of each.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

try:
    import tensorflow_addons as tfa

    keras, legacy = tf.keras, tf.keras.optimizers.legacy
except ImportError:
    import tf_keras as keras

    tfa, legacy = None, keras.optimizers.legacy

FOLDER = Path(__file__).parent / "old_files"
UPDATES = 7
BAND = {"initial_learning_rate": 0.001, "maximal_learning_rate": 0.006, "step_size": 3}


def functional():
    inputs = keras.Input((3,), name="inputs")
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(inputs))


def wide():
    return keras.Sequential(
        [
            keras.layers.Dense(2, input_shape=(3,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.output_layer = keras.layers.Dense(2)

    def call(self, inputs):
        return self.output_layer(inputs)


def of_tensors(**options):
    return tfa.optimizers.TriangularCyclicalLearningRate(
        tf.constant(0.001), np.float32(0.006), np.int64(3), **options
    )


def unnamed():
    function = lambda x: 0.5**x  # noqa: E731
    # A file has the code of a lambda, with the path of its source.
    function.__code__ = function.__code__.replace(co_filename="train.py")
    return function


def halved(x):
    return 0.5 ** tf.cast(x, tf.float32)


def write(name, optimizer, make=functional, method="save", **options):
    keras.utils.set_random_seed(1)
    model = make()
    if optimizer is not None:
        model.compile(optimizer, "mse")
    outputs = model(np.ones((1, 3), "float32")).shape[-1]
    x = np.random.default_rng(1).normal(size=(UPDATES, 3)).astype("float32")
    if optimizer is not None:
        model.fit(x, x[:, :outputs], batch_size=1, shuffle=False, verbose=0)
    path = FOLDER / name
    getattr(model, method)(path, **options)
    variables = []
    if optimizer is not None:
        of = model.optimizer
        variables = of.variables() if callable(of.variables) else of.variables
    contents = FOLDER / "contents.json"
    known = json.loads(contents.read_text()) if contents.exists() else {}
    known[name] = {
        "tensorflow": tf.__version__,
        "weights": [[each.name, each.numpy().tolist()] for each in model.weights],
        "trainable": [each.name for each in model.trainable_weights],
        "optimizer": [[each.name, np.asarray(each).tolist()] for each in variables],
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
    contents.write_text(f"{{\n{lines}\n}}\n")


def with_addons():
    schedules = tfa.optimizers
    new = keras.optimizers
    triangular = schedules.TriangularCyclicalLearningRate(**BAND)
    triangular2 = schedules.Triangular2CyclicalLearningRate(**BAND)
    exponential = schedules.ExponentialCyclicalLearningRate(**BAND, gamma=0.9)
    of_cycle = schedules.ExponentialCyclicalLearningRate(**BAND, gamma=0.9, scale_mode="cycle")
    custom = schedules.CyclicalLearningRate(**BAND, scale_fn=unnamed(), scale_mode="cycle")
    named = schedules.CyclicalLearningRate(**BAND, scale_fn=halved, scale_mode="iterations")
    for suffix in ("keras", "h5"):
        write(f"sgd-triangular.{suffix}", new.SGD(triangular, momentum=0.9, nesterov=True))
        write(f"adam-triangular2.{suffix}", new.Adam(triangular2), wide)
        write(f"legacy-sgd-triangular.{suffix}", legacy.SGD(triangular, momentum=0.9))
        write(f"legacy-adam-triangular2.{suffix}", legacy.Adam(triangular2))
        write(f"adam-lambda.{suffix}", new.Adam(custom))
        write(f"addons-adamw-triangular2.{suffix}", schedules.AdamW(0.01, triangular2))
    # Its own `scale_mode` works with the legacy optimizers only: others pass an int64.
    for suffix in ("keras", "h5"):
        write(f"legacy-sgd-exponential.{suffix}", legacy.SGD(exponential, momentum=0.9))
    write("adamw-exponential-of-cycle.h5", new.AdamW(of_cycle))
    write("adam-function.keras", new.Adam(named))
    write("sgd-tensors.keras", new.SGD(of_tensors()))
    write("lookahead-triangular.keras", schedules.Lookahead(legacy.SGD(triangular)))
    write("lookahead-triangular.h5", schedules.Lookahead(legacy.Adam(triangular)))
    write("rmsprop-triangular.h5", new.RMSprop(triangular, momentum=0.9))
    scaled = keras.mixed_precision.LossScaleOptimizer
    write("scaled-triangular.keras", scaled(new.SGD(triangular, momentum=0.9), initial_scale=1.0))
    write("scaled-triangular.h5", scaled(new.Adam(triangular), initial_scale=1.0))
    write("scaled-legacy-triangular.h5", scaled(legacy.Adam(triangular), initial_scale=1.0))
    write("subclassed.keras", new.Adam(triangular2), Subclassed)
    write("adam-triangular2.weights.h5", new.Adam(triangular2), method="save_weights")
    write("legacy-weights.h5", new.Adam(triangular2), method="save_weights", save_format="h5")
    write("legacy-adam.weights.h5", legacy.Adam(triangular2), method="save_weights")
    write("not-compiled.keras", None)
    write("not-compiled.h5", None)
    write("without-optimizer.h5", new.SGD(triangular), include_optimizer=False)
    write("adam-float.keras", new.Adam(0.01))
    write("adam-float.h5", new.Adam(0.01))
    write("sgd-decay.h5", new.SGD(keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9)))
    write("adam-cosine.keras", new.Adam(keras.optimizers.schedules.CosineDecay(0.01, 100)))


def with_tf_keras():
    cosine = keras.optimizers.schedules.CosineDecay(0.01, 100)
    write("tf-keras-sgd-float.keras", keras.optimizers.SGD(0.01, momentum=0.9))
    write("tf-keras-sgd-float.h5", keras.optimizers.SGD(0.01, momentum=0.9))
    write("tf-keras-adam-cosine.keras", keras.optimizers.Adam(cosine))
    write("tf-keras-adam-cosine.weights.h5", keras.optimizers.Adam(cosine), method="save_weights")
    write("tf-keras-legacy-adam.h5", legacy.Adam(cosine))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (with_addons if tfa else with_tf_keras)()
    sys.stdout.write(f"{len(list(FOLDER.iterdir()))} files in {FOLDER.name}\n")
