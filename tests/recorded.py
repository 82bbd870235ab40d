"""A plugin of pytest for `mutants.py`: how long each test takes, and what it calls in the core."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

FILE = "RECORDED"
CORE = str(Path.cwd() / "clr_core")
tests = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    called = set()

    def trace(frame, *_):
        if frame.f_code.co_filename.startswith(CORE):
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    start = time.process_time()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)
        name = item.nodeid.partition("[")[0]  # All cases of a parametrized test are one.
        seconds, before = tests.get(name, (0.0, set()))
        functions = {(os.path.relpath(file), line) for file, line in called}
        tests[name] = (seconds + time.process_time() - start, before | functions)


def pytest_sessionfinish():
    Path(os.environ[FILE]).write_text(json.dumps(tests, default=sorted))
