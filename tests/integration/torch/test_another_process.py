"""A training that is saved to a file and resumed in another process, bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

from integration.torch.go_on import ORDERS, UPDATES, Training

# In a rise, at a peak, at which the momentum of one group is 0, and in the second cycle.
STOPS = [("sgd", 3), ("adam", 2), ("tensors", 3), ("plain_sgd", 8)]


def test_goes_on_bit_for_bit(tmp_path):
    paths = [tmp_path / f"{name}-{update}.pt" for name, update in STOPS]
    for path, (name, update) in zip(paths, STOPS, strict=True):
        Training(name).make().run(0, update).save(path)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", Path(__file__).with_name("go_on.py"), *paths],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    for path, (name, _) in zip(paths, STOPS, strict=True):
        straight = Training(name).make().run(0, UPDATES).bits()
        assert len(ends[str(path)]) == len(ORDERS) + (name == "plain_sgd")
        for order, bits in ends[str(path)].items():
            assert bits == straight, (path.name, order)
