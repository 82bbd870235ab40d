"""A saved training resumes in another process, on the same or another backend."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from clr_keras import CyclicLR
from integration.keras.rates import BY_CYCLE, UPDATES, assert_same, at, fit, model

BACKEND = keras.backend.backend()
SAVED_AT = 5
# (saved, loaded): under torch, Keras saves SGD as `keras.src.backend.torch.optimizers.torch_sgd`
# and loads that very class on other backends, where it fails on the first update. Built from its
# config, the optimizer resumes everywhere.
KNOWN_DEVIATIONS = {("torch", "tensorflow"), ("torch", "jax")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    # Without jit, which is saved too and takes torch half a minute.
    trained = model(keras.optimizers.SGD(CyclicLR(BY_CYCLE)), jit_compile=False)
    fit(trained, range(SAVED_AT))
    trained.save(path)
    return path


@pytest.mark.parametrize("other", ["tensorflow", "jax", "torch"])
def test_a_saved_model_resumes_elsewhere(other, saved, python):
    script = Path(__file__).with_name("resume.py")
    done = python(script, saved, SAVED_AT, UPDATES, backend=other)
    assert done.returncode == 0, done.stderr
    how, rates = json.loads(done.stdout.splitlines()[-1])
    assert how.startswith("rebuilt" if (BACKEND, other) in KNOWN_DEVIATIONS else "as saved"), how
    assert_same(np.float32([float.fromhex(rate) for rate in rates]), at(BY_CYCLE))
