"""Keras alone; KERAS_BACKEND names the backend, one process for each."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _as_it_was():
    """Restore Keras's settings for the whole process."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
