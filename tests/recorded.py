"""A plugin of pytest for `mutants.py`: how long each test takes, and what it calls in the core."""

import json
import os
import time
from cProfile import Profile
from pathlib import Path

import pytest

CORE = str(Path.cwd() / "clr_core")
tests = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    profile, start = Profile(builtins=False), time.process_time()
    profile.enable()
    try:
        return (yield)
    finally:
        profile.disable()
        called = {
            (os.path.relpath(entry.code.co_filename), entry.code.co_firstlineno)
            for entry in profile.getstats()
            if entry.code.co_filename.startswith(CORE)
        }
        name = item.nodeid.partition("[")[0]  # All cases of a parametrized test are one.
        seconds, before = tests.get(name, (0.0, set()))
        tests[name] = (seconds + time.process_time() - start, before | called)


def pytest_sessionfinish():
    Path(os.environ["RECORDED"]).write_text(json.dumps(tests, default=sorted))
