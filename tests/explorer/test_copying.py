"""The copied code runs in its framework, and its optimizer uses the rates of the page."""

import json
import os
import struct
import subprocess
import sys

import pytest

from .conftest import values, visit

SCHEDULES = {
    "kind=cyclic&base_lr=0.001&max_lr=0.006&step_size_up=3&mode=triangular2": 0,
    "kind=cyclic&base_lr=0.1&max_lr=0.3&step_size_up=2.5&scale_fn=1/x&step=4": 4,
    "kind=one_cycle&max_lr=0.1&total_steps=11": 0,
    'kind=sequence&schedules=[{"kind":"warmup_cosine","max_lr":"0.01","warmup_steps":"3",'
    '"total_steps":"7"},{"kind":"cyclic","base_lr":"1e-7","max_lr":"0.3","step_size_up":"2"}]'
    "&boundaries=[5]&step=2": 2,
}
UPDATES = 9
# Each runs the code, and appends the rates of some updates to `rates`, measured in the framework.
DRIVERS = {
    "PyTorch": """
for _ in range(updates):
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    scheduler.step()
""",
    "Keras": """
import numpy as np
weights = keras.Variable(np.zeros(3))
optimizer.build([weights])
for _ in range(updates):
    rates.append(float(optimizer.learning_rate))
    optimizer.apply([keras.ops.ones(3)])
""",
    "JAX, optax": """
import jax
for _ in range(updates):
    gradients = jax.tree.map(jnp.ones_like, parameters)
    changes, state = optimizer.update(gradients, state, parameters)
    rates.append(-float(changes["weights"][0]))
""",
}
RUN = """
import json, sys
codes, updates = json.load(sys.stdin)
found = []
for code in codes:
    rates = []
    exec(code, {"rates": rates, "updates": updates})
    found.append([rate.hex() for rate in rates])
print(json.dumps(found))
"""


@pytest.mark.parametrize("framework", DRIVERS)
def test_copied_code_runs(page, framework):
    page.get_by_role("tab", name=framework).click()
    codes, wanted = [], []
    for address, step in SCHEDULES.items():
        visit(page, address)
        page.click("#copy")
        page.wait_for_function(
            "what => document.getElementById('copied').textContent === what",
            arg=f"{framework} copied",
        )
        codes.append(page.evaluate("navigator.clipboard.readText()") + DRIVERS[framework])
        wanted.append(values(page, range(step, step + UPDATES))[0])
    process = subprocess.run(
        [sys.executable, "-P", "-c", RUN],
        input=json.dumps([codes, UPDATES]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )
    assert process.returncode == 0, process.stderr
    rates = [list(map(float.fromhex, each)) for each in json.loads(process.stdout)]
    if framework != "PyTorch":
        wanted = [
            [struct.unpack("f", struct.pack("f", rate))[0] for rate in each] for each in wanted
        ]
    assert rates == wanted


def test_the_record_and_the_link(page):
    visit(page, list(SCHEDULES)[1])
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-record"
    page.click("#copy")
    record = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (record["format"], record["step"]) == ("cyclical-lr/1", 4)
    assert record["schedule"]["scale_fn"] == "1.0 / x"
    page.click("#link")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert link.endswith("#kind=cyclic&base_lr=0.1&max_lr=0.3&step_size_up=2.5&scale_fn=1/x&step=4")
