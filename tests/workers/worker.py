"""What the worker scripts share: what the launcher asks for, and the log.

A worker logs what each update uses, before it is made: a line of JSON per update and device.
"""

import json
import os
import time

from launcher import SCHEDULE as schedule

updates = int(os.environ["UPDATES"])
rank = int(os.environ["RANK"])
world = int(os.environ["WORLD_SIZE"])
coordinator = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
_hold = int(os.environ.get("HOLD", -1))
_log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def log(step, lr, momentum=None, device=0):
    """Log what update `step` uses. A worker that is to be killed gets no further than `HOLD`."""
    if step == _hold:
        time.sleep(300)
        raise TimeoutError(f"Nobody has killed this worker before update {step}")
    momentum = None if momentum is None else float(momentum)
    line = {"device": device, "step": step, "lr": float(lr), "momentum": momentum}
    os.write(_log, f"{json.dumps(line)}\n".encode())


def log_each(step, used):
    """Log the rate and the momentum that update `step` used on each device."""
    for device, (lr, momentum) in enumerate(used):
        log(step, lr, momentum, device)


def planted(step):
    """Whether this worker is to make the mistake that a test plants after update `step`."""
    return os.environ.get("PLANT") == f"{rank}:{step}"


__all__ = ["coordinator", "log", "log_each", "planted", "rank", "schedule", "updates", "world"]
