"""Runs Python blocks of documents, each document in a fork of this process.

The arguments are modules to import before, since a framework takes seconds. Each line of standard
input is a request in JSON: a document, its blocks `[[line, source], …]`, and the folder to run in.
The blocks run one after another in one namespace. A block must print, line by line, what its
comments `# -> …` say; an exception counts as a last line, `ValueError: …`. The answer is a line in
JSON: the exit status of the process, and its output.
"""

import contextlib
import importlib
import io
import json
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings

ARROW = re.compile(r"# -> (.*)$", re.MULTILINE)
SECONDS = 600


def main(modules: list[str]) -> None:
    warnings.simplefilter("error")
    # The frameworks' use of deprecated functions isn't ours to fix.
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module="(?!__main__)")
    for name in modules:
        importlib.import_module(name)
    for request in sys.stdin:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            with warnings.catch_warnings(action="ignore"):  # JAX advises against it.
                child = os.fork()
            if child == 0:
                signal.alarm(SECONDS)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                for stream in (1, 2):
                    os.dup2(output.fileno(), stream)
                sys.exit(_run(**json.loads(request)))
            _, status = os.waitpid(child, 0)
            output.seek(0)
            answer = {"status": os.waitstatus_to_exitcode(status), "output": output.read()}
            print(json.dumps(answer), flush=True)


def _run(document: str, blocks: list, folder: str) -> int:
    os.chdir(folder)
    namespace = {"__name__": "__main__"}
    wrong = sum(not _as_it_says(document, *block, namespace) for block in blocks)
    print(f"{len(blocks)} blocks ran")
    return 1 if wrong else 0


def _as_it_says(document: str, line: int, source: str, namespace: dict) -> bool:
    says = [text.strip() for text in ARROW.findall(source)]
    output, trace = io.StringIO(), ""
    # With empty lines before it, a traceback has the line numbers of the document.
    code = compile("\n" * (line - 1) + source, document, "exec")
    with contextlib.redirect_stdout(output):
        try:
            exec(code, namespace)
        except Exception as error:
            trace = traceback.format_exc()
            print(f"{type(error).__name__}: {error}")
    prints = [text.strip() for text in output.getvalue().splitlines()]
    if prints == says:
        return True
    print(f"{document}:{line}: the block prints {prints}, the document says {says}\n{trace}")
    return False


if __name__ == "__main__":
    main(sys.argv[1:])
