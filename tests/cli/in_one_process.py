"""Prepare, run several commands and check, in one process: importing a framework takes long.

Reads `{"prepare": code, "commands": [[argument, …], …], "check": code}` from standard input. Prints
a list with `[exit code, output, errors]` for each command, followed by the output of the check.
"""

import io
import json
import sys

from clr_cli.main import main


def run(arguments):
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        code = main(arguments)
    finally:
        sys.stdout, sys.stderr = before
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return [code, *texts]


task = json.load(sys.stdin)
exec(task["prepare"], {"__name__": "prepare"})
print(json.dumps([run(arguments) for arguments in task["commands"]]))
exec(task["check"], {"__name__": "check"})
