"""Does the suite see errors? Plants one at a time, and says which test caught it: `make mutants`.

Each mutant is a copy of the packages with one change, put before the installed wheel on the path.
A mutant that nothing catches makes the script fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("clr_core", "clr_torch", "clr_keras", "clr_jax", "clr_cli")

CORE = ("tests/core", "tests/conformance", "--row", "rows.core", "--with-numpy")
TORCH = ("tests/conformance", "tests/integration/torch", "--row", "rows.torch")
JAX = ("tests/conformance", "tests/integration/jax", "--row", "rows.jax")
KERAS = ("tests/conformance", "tests/integration/keras", "--row", "rows.keras")
DIRECTIONS = ("tests/directions",)


@dataclass(frozen=True)
class Mutant:
    """One error: in `file`, `old` (which stands there once) becomes `new`."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    backend: str = ""


MUTANTS = [
    Mutant(
        "off by one step",
        "clr_core/python_ops.py",
        "return curve(float(step), _THIS)",
        "return curve(float(step) + 1.0, _THIS)",
        CORE,
    ),
    Mutant(
        "halves swapped",
        "clr_core/schedules/cyclic.py",
        "ops.divide(position, self.step_size_up)",
        "ops.divide(position, self._fall)",
        CORE,
    ),
    Mutant(
        "the fall as given, not as what the sum leaves",
        "clr_core/schedules/_parameters.py",
        '"_fall": cycle_size - step_size_up',
        '"_fall": step_size_down',
        CORE,
    ),
    Mutant(
        "cycle counted from 0 for a scale_fn",
        "clr_core/schedules/cyclic.py",
        "x = x + 1.0",
        "x = x + 0.0",
        CORE,
    ),
    Mutant(
        "cycle counted from 1 in triangular2",
        "clr_core/schedules/cyclic.py",
        "return ops.power(0.5, x)",
        "return ops.power(0.5, x + 1.0)",
        CORE,
    ),
    Mutant(
        "cycle cut off in place of rounded",
        "clr_core/python_ops.py",
        "return float(round(x))",
        "return float(int(x))",
        CORE,
    ),
    Mutant(
        "momentum the right way up",
        "clr_core/schedules/cyclic.py",
        "self._between(self.max_momentum, self.base_momentum,",
        "self._between(self.base_momentum, self.max_momentum,",
        CORE,
    ),
    Mutant(
        "step size truncated to an int",
        "clr_core/schedules/_parameters.py",
        "    size = number(name, value)\n",
        "    size = float(max(1, int(number(name, value))))\n",
        CORE,
    ),
    Mutant(
        "gamma rounded to float32",
        "clr_core/schedules/cyclic.py",
        "return ops.power(self.gamma, step)",
        "import struct\n"
        "            gamma = struct.unpack('f', struct.pack('f', self.gamma))[0]\n"
        "            return ops.power(gamma, step)",
        CORE,
    ),
    Mutant(
        "exp_range counted from the start of the cycle",
        "clr_core/schedules/cyclic.py",
        "return ops.power(self.gamma, step)",
        "return ops.power(self.gamma, position)",
        CORE,
    ),
    Mutant(
        "decay that overflows in cycle 1025",
        "clr_core/schedules/cyclic.py",
        "return ops.power(0.5, x)",
        "return 1.0 / 2.0**x",
        CORE,
    ),
    Mutant(
        "the usual blend, which misses max_lr",
        "clr_core/schedules/cyclic.py",
        "ops.rounded(start * (1.0 - wave)) + ops.rounded(peak * wave)",
        "start + (peak - start) * wave",
        CORE,
    ),
    Mutant(
        "not kept between the boundaries",
        "clr_core/schedules/cyclic.py",
        "return ops.clip(value, start, peak) if start < peak else ops.clip(value, peak, start)",
        "return value",
        CORE,
    ),
    Mutant(
        "float32 inside NumPy",
        "clr_core/numpy_ops.py",
        "steps[block].astype(np.float64)",
        "steps[block].astype(np.float32)",
        CORE,
    ),
    Mutant(
        "< for <= at the largest step",
        "clr_core/python_ops.py",
        "if not 0 <= step <= 2**53:",
        "if not 0 <= step < 2**53:",
        CORE,
    ),
    Mutant(
        "< for <= at the boundaries",
        "clr_core/schedules/_parameters.py",
        "if base_lr > max_lr:",
        "if base_lr >= max_lr:",
        CORE,
    ),
    Mutant(
        "gamma of 0 taken",
        "clr_core/schedules/_parameters.py",
        "if not 0.0 < gamma <= 1.0:",
        "if not 0.0 <= gamma <= 1.0:",
        CORE,
    ),
    Mutant(
        "unknown keys read over",
        "clr_core/schedules/cyclic.py",
        "if given != expected:",
        "if expected - given:",
        CORE,
    ),
    Mutant(
        "min and max of an expression swapped",
        "clr_core/schedules/_expression.py",
        '{"min": "minimum", "max": "maximum"}',
        '{"min": "maximum", "max": "minimum"}',
        CORE,
    ),
    Mutant(
        "an expression may read attributes",
        "clr_core/schedules/_expression.py",
        '        case ast.Name(name) if name == "x" or name in CONSTANTS:\n',
        '        case ast.Attribute():\n            return ast.Name("x")\n'
        '        case ast.Name(name) if name == "x" or name in CONSTANTS:\n',
        CORE,
    ),
    Mutant(
        "last_epoch off by one",
        "clr_torch/schedule.py",
        "step = self.last_epoch + 1 if epoch is None",
        "step = self.last_epoch + 2 if epoch is None",
        TORCH,
    ),
    Mutant(
        "the rate left as it was after loading",
        "clr_torch/schedule.py",
        'if last_epoch >= 0 and state_dict.get("applied", True) is True:',
        "if False:",
        TORCH,
    ),
    Mutant(
        "a tensor rate replaced in place of filled",
        "clr_torch/param_groups.py",
        "return place.fill_(value) if isinstance(place, Tensor) else value",
        "return place.new_tensor(value) if isinstance(place, Tensor) else value",
        TORCH,
    ),
    Mutant(
        "beta2 lost",
        "clr_torch/param_groups.py",
        "*betas[1:])",
        "betas[0])",
        TORCH,
    ),
    Mutant(
        "NumPy's own power in the scheduler's table",
        "clr_torch/_lookahead.py",
        'for name in ("power", "sin", "cos", "tanh", "exp", "log")',
        "for name in ()",
        TORCH,
    ),
    Mutant(
        "a block of the table that begins a step late",
        "clr_torch/_lookahead.py",
        "self._first, self._points = step, points",
        "self._first, self._points = step - 1, points",
        TORCH,
    ),
    Mutant(
        "a rounding guard dropped in JAX",
        "clr_jax/ops.py",
        "return jnp.minimum(x, _LARGEST)",
        "return x",
        JAX,
    ),
    Mutant(
        "a division by a constant in JAX",
        "clr_jax/ops.py",
        "return a / jnp.where(jnp.equal(a, a), b, jnp.nan)",
        "return a / b",
        JAX,
    ),
    Mutant(
        "float32 inside JAX",
        "clr_jax/ops.py",
        "jnp.maximum(step, 0), jnp.float64",
        "jnp.maximum(step, 0), jnp.float32",
        JAX,
    ),
    Mutant(
        "a negative count continued downwards in JAX",
        "clr_jax/ops.py",
        "jnp.maximum(step, 0)",
        "step",
        JAX,
    ),
    Mutant(
        "small numbers flushed to zero in JAX",
        "clr_jax/ops.py",
        "else _to_float32(value)",
        "else value.astype(jnp.float32)",
        JAX,
    ),
    Mutant(
        "a rounding guard dropped in TensorFlow",
        "clr_keras/ops.py",
        "return tf.minimum(x, tf.float64.max)",
        "return x",
        KERAS,
        "tensorflow",
    ),
    Mutant(
        "float32 inside TensorFlow",
        "clr_keras/ops.py",
        "tf.maximum(tf.cast(step, tf.float64), 0.0)",
        "tf.cast(tf.maximum(tf.cast(step, tf.float32), 0.0), tf.float64)",
        KERAS,
        "tensorflow",
    ),
    Mutant(
        "micro-batches taken for updates in Keras",
        "clr_keras/schedule.py",
        "curve = self.schedule.lr if self.gradient_accumulation_steps == 1 else self._lr_of_update",
        "curve = self.schedule.lr",
        KERAS,
        "jax",
    ),
    Mutant(
        "the rate in the place of the momentum in Keras",
        "clr_keras/optimizer.py",
        "_ops.evaluate(self._learning_rate.schedule.momentum, iterations)",
        "_ops.evaluate(self._learning_rate.schedule.lr, iterations)",
        KERAS,
        "jax",
    ),
    Mutant(
        "the rate in the place of the momentum in optax",
        "clr_jax/optimizer.py",
        "curves[_momentum(factory, parameters)] = schedule.momentum",
        "curves[_momentum(factory, parameters)] = schedule.lr",
        JAX,
    ),
    Mutant(
        "float32 inside torch tensors",
        "clr_torch/ops.py",
        "torch.as_tensor(x, dtype=torch.float64)",
        "torch.as_tensor(x, dtype=torch.float32).to(torch.float64)",
        KERAS,
        "torch",
    ),
    Mutant(
        "a run that goes on a step late in torch",
        "clr_torch/record.py",
        "last_epoch=record.step - 1)",
        "last_epoch=record.step)",
        TORCH,
    ),
    Mutant(
        "the micro-batches of a record in Keras",
        "clr_keras/record.py",
        "iterations.assign(record.step * steps)",
        "iterations.assign(record.step)",
        KERAS,
        "jax",
    ),
    Mutant(
        "a run that goes on a step late in JAX",
        "clr_jax/record.py",
        "set_step(optimizer.init(params), record.step)\n",
        "set_step(optimizer.init(params), record.step + 1)\n",
        DIRECTIONS,
    ),
    Mutant(
        "lines below the schedule pass for it",
        "clr_core/verification/__init__.py",
        "if not low <= rate <= high\n",
        "if rate > high\n",
        CORE,
    ),
    Mutant(
        "a float32 log held against its digits",
        "clr_core/verification/__init__.py",
        "half = half_unit(rate) + error * (1.0 + step / size)",
        "half = half_unit(rate)",
        CORE,
    ),
    Mutant(
        "a ramp that stops short of its end",
        "clr_core/range_finding/ask_tell.py",
        "n = self.num_steps - 1\n",
        "n = self.num_steps\n",
        CORE,
    ),
    Mutant(
        "a minimum at the edge gives a rate",
        "clr_core/range_finding/_reading.py",
        "if not regained and not stopped:",
        "if False:",
        CORE,
    ),
    Mutant(
        "an incomplete batch forgotten",
        "clr_core/planning.py",
        "return own // batch_size if drop_last else -(-own // batch_size)",
        "return own // batch_size",
        CORE,
    ),
    Mutant(
        "torch's random state left as the range test moved it",
        "clr_core/range_finding/_random_states.py",
        "restores.append(partial(torch.set_rng_state, torch.get_rng_state()))",
        "pass",
        TORCH,
    ),
]


def caught_by(mutant: Mutant) -> str | None:
    """The first test that fails on it, None where none does."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, Path(folder) / package)
        path = Path(folder) / mutant.file
        source = path.read_text(encoding="utf-8")
        if source.count(mutant.old) != 1:
            raise SystemExit(f"{mutant.file} must hold this once, to plant an error: {mutant.old}")
        path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": folder,
            "KERAS_BACKEND": mutant.backend or "tensorflow",
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "-q", "-x", "--no-header", *mutant.tests],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
    found = re.search(r"^(?:FAILED|ERROR) ([^\n]+?)(?: - |$)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or (done.returncode == 1 and not found):
        raise SystemExit(f"{mutant.what}: pytest itself failed.\n{done.stdout}\n{done.stderr}")
    return found[1] if found else None


def main(wanted: list[str]) -> int:
    """Tries every mutant whose words hold one of `wanted`; 1 where one survives."""
    tried = survivors = 0
    for mutant in MUTANTS:
        if wanted and not any(word in f"{mutant.what} {mutant.file}" for word in wanted):
            continue
        test = caught_by(mutant)
        tried, survivors = tried + 1, survivors + (test is None)
        print(f"{mutant.file}: {mutant.what}: {test or 'NOT CAUGHT'}", flush=True)
    print(f"{survivors} of {tried} not caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
