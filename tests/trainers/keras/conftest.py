"""Keras alone; KERAS_BACKEND names the backend, one process for each."""

from integration.keras.conftest import _as_it_was

__all__ = ["_as_it_was"]
