"""MultiWorkerMirroredStrategy with a loop of one's own: Keras 3 has no `fit` under it."""

import json
import os

ports = json.loads(os.environ["PORTS"])
os.environ["TF_CONFIG"] = json.dumps(
    {
        "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
        "task": {"type": "worker", "index": int(os.environ["RANK"])},
    }
)

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow

import clr_keras  # noqa: E402
from probe import batches, make_model, reset, used  # noqa: E402
from worker import log_each, rank, schedule, updates  # noqa: E402

with strategy.scope():
    if os.path.exists("run.keras"):
        model = keras.saving.load_model("run.keras")
    else:
        model = make_model()
        model.compile(clr_keras.SGD(schedule, torch_velocity=True), "mse")
        model.optimizer.build(model.trainable_variables)


@tf.function
def train_step(images, labels):
    def replica_step(images, labels):
        with tf.GradientTape() as tape:
            squares = (model(images, training=True) - labels) ** 2
            loss = tf.reduce_mean(squares) + tf.add_n(model.losses)
            loss /= strategy.num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    strategy.run(replica_step, args=(images, labels))


for step in range(clr_keras.to_record(model).step, updates):
    images, labels = (each[4 * rank :][:4] for each in batches(step, step + 1))
    reset(model)
    train_step(tf.constant(images), tf.constant(labels))
    log_each(step, used(model))
    if rank == 0:
        model.save("new.keras")
        os.replace("new.keras", "run.keras")

np.savez(f"weights-{rank}.npz", *model.get_weights())
