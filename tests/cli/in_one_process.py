"""Prepares, runs several commands, and checks, in one process: importing a framework takes long.

Reads `{"prepare": code, "commands": [[argument, …], …], "check": code}`, and prints a list with
`[exit code, output, errors]` for each command; then what the check printed.
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
