"""A benchmark on Keras's three backends, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

BACKENDS = ("tensorflow", "jax", "torch")


def on_each_backend(script: str, measured: Callable[[str], list[Any]]) -> list[Any]:
    """What `measured(backend)` gives on the three of them, one after the other.

    The script that calls this runs itself again once per backend. In such a process this prints
    what was measured and leaves.
    """
    if "--alone" in sys.argv:
        print(json.dumps(measured(os.environ["KERAS_BACKEND"])))
        sys.exit()
    given = []
    for backend in BACKENDS:
        done = subprocess.run(
            [sys.executable, script, "--alone", *sys.argv[1:]],
            env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        given += json.loads(done.stdout.splitlines()[-1])
    return given
