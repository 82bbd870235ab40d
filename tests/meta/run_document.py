"""Runs Python blocks of a document one after another, in this process and one namespace.

Reads JSON from standard input: `[[line, source], …]`. A block must print, line by line, what its
comments `# -> …` say; an exception counts as a last line, `ValueError: …`.
"""

import contextlib
import io
import json
import re
import sys
import traceback
import warnings

ARROW = re.compile(r"# -> (.*)$", re.MULTILINE)


def main(document: str) -> int:
    blocks = json.load(sys.stdin)
    warnings.simplefilter("error")
    # The frameworks' use of deprecated functions isn't ours to fix.
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module="(?!__main__)")
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
    sys.exit(main(sys.argv[1]))
