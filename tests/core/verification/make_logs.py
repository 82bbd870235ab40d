"""Writes `logs/`: what the loggers of real packages make of a right run.

Run by hand, a package at a time, in an environment that has it:

    python make_logs.py huggingface | keras | accelerate | ignite

Each run has ten epochs of six updates, with the schedule of `SCHEDULE`. The rates are those of
torch's own class, or in the Keras run of a formula, and never of this library.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

LOGS = Path(__file__).with_name("logs")
SCHEDULE = {"base_lr": 0.001, "max_lr": 0.006, "step_size_up": 20}
EPOCHS, UPDATES = 10, 6


def torch_run():
    import torch

    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.001, 0.006, 20, cycle_momentum=False)
    return model, optimizer, scheduler


def keep(folder, name):
    """Copies the only event file below a folder."""
    (file,) = Path(folder).rglob("*tfevents*")
    shutil.copy(file, LOGS / f"{name}.tfevents")


def huggingface(folder):
    os.environ["TENSORBOARD_LOGGING_DIR"] = f"{folder}/runs"
    import torch
    from transformers import Trainer, TrainingArguments

    layer, optimizer, scheduler = torch_run()

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x=None, labels=None):
            return {"loss": ((self.layer(x) - labels) ** 2).mean()}

    rows = [{"x": torch.ones(2), "labels": torch.ones(1)} for _ in range(4 * UPDATES)]
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=4,
        logging_steps=5,
        report_to=["tensorboard"],
        save_strategy="no",
        use_cpu=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model=Model(), args=arguments, train_dataset=rows, optimizers=(optimizer, scheduler)
    )
    trainer.train()
    trainer.save_state()
    shutil.copy(Path(folder, "trainer_state.json"), LOGS / "huggingface_trainer_state.json")
    keep(folder, "huggingface")


def keras(folder):
    import keras
    import numpy as np

    class Triangle(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            import tensorflow as tf

            position = tf.cast(step, tf.float64) % 40.0
            return tf.cast(0.001 + 0.00025 * tf.minimum(position, 40.0 - position), tf.float32)

    class Rate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(Triangle()), loss="mse")
    history = model.fit(
        np.ones((4 * UPDATES, 2), "f"),
        np.ones((4 * UPDATES, 1), "f"),
        batch_size=4,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[
            Rate(),
            keras.callbacks.CSVLogger(LOGS / "keras.csv"),
            keras.callbacks.TensorBoard(folder, write_graph=False),
        ],
    )
    (LOGS / "keras_history.json").write_text(json.dumps(history.history))
    keep(Path(folder, "train"), "keras")


def accelerate(folder):
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(log_with=["tensorboard"], project_dir=folder, cpu=True)
    accelerator.init_trackers("run")
    model, optimizer, scheduler = accelerator.prepare(*torch_run())
    for step in range(EPOCHS * UPDATES):
        accelerator.backward(model(torch.ones(4, 2)).mean())
        accelerator.log({"lr": scheduler.get_last_lr()[0], "loss": 0.5}, step=step)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    accelerator.end_training()
    keep(folder, "accelerate")


def ignite(folder):
    import torch
    from ignite.engine import Engine, Events
    from ignite.handlers.param_scheduler import LRScheduler
    from ignite.handlers.tensorboard_logger import OptimizerParamsHandler, TensorboardLogger

    model, optimizer, scheduler = torch_run()

    def update(engine, batch):
        optimizer.zero_grad()
        model(torch.ones(4, 2)).mean().backward()
        optimizer.step()

    trainer = Engine(update)
    trainer.add_event_handler(Events.ITERATION_STARTED, LRScheduler(scheduler))
    with TensorboardLogger(log_dir=folder) as logger:
        logger.attach(
            trainer, OptimizerParamsHandler(optimizer), event_name=Events.ITERATION_STARTED
        )
        trainer.run(range(UPDATES), max_epochs=EPOCHS)
    keep(folder, "ignite")


if __name__ == "__main__":
    LOGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        globals()[sys.argv[1]](temporary)
