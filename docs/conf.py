"""The site: the pages of this folder as they are read on GitHub, and the reference of the packages.

`make docs` builds it, with the installed wheel. Keras runs on JAX here: TensorFlow and torch crash
in one process.
"""

import os
import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["KERAS_BACKEND"] = "jax"
# Silences TensorFlow's messages about the processor.
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
# The notebooks call `clr`.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

project = author = "cyclical-lr"
version = release = metadata.version("cyclical-lr")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["explorer"]
# The anchors of headings are GitHub's, and fences of colons are text there.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"cyclical-lr {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/icon.svg"
pygments_style = "default"
pygments_dark_style = "github-dark"
html_sourcelink_suffix = ""
html_show_copyright = html_show_sphinx = False
# The explorer, which is no page of Sphinx's, and a link to it above the others.
html_extra_path = ["../build/explorer"]
templates_path = ["templates"]
PARTS = ("brand", "search", "scroll-start", "navigation", "scroll-end")
html_sidebars = {"**": [f"sidebar/{part}.html" for part in PARTS]}
html_sidebars["**"].insert(3, "explorer.html")

nb_execution_mode = "force"
nb_execution_raise_on_error = nb_execution_show_tb = True
nb_execution_timeout = 300

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
maximum_signature_line_length = 80
default_role = "py:obj"
# Other projects' names have no pages here, and their indexes can't be loaded without a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!clr_).*"),
    # The keywords of Keras's optimizers, and type variables.
    ("py:class", r"clr_keras\.optimizer\._\w+Options|clr_(jax|keras)\.\w+\.(State|Optimizer)"),
]

MEASURED = sorted(path.stem for path in ROOT.glob("benchmarks/*.md"))
SECTION = re.compile(r"[A-Z]\w+:")


def with_tables(app, docname, source):
    """Put the tables of `benchmarks/` into the page of measurements, and links to them there."""
    if docname == "measured":
        include = "(measured-{0})=\n:::{{include}} ../benchmarks/{0}.md\n:heading-offset: 1\n:::\n"
        source[0] += "".join(include.format(name) for name in MEASURED)
    source[0] = re.sub(r"\]\((?:\.\./)+benchmarks/(\w+)\.md\)", r"](#measured-\1)", source[0])


def as_rest(app, what, name, obj, options, lines):
    """Turn the indented blocks of a docstring, which are Markdown's, into blocks of code."""
    rest, section, block = [], False, False
    for line, previous in zip(lines, ["", *lines], strict=False):
        indented = line.startswith("    ")
        if line and not indented:
            section, block = SECTION.fullmatch(line), False
        elif indented and not previous and not section and not block:
            language = "pycon" if line.lstrip().startswith(">>>") else "text"
            rest += [f".. code-block:: {language}", ""]
            block = True
        # A suffix is no name: after a dot, any name that ends so would do.
        rest.append(re.sub(r"`(\.\w+)`", r"``\1``", line))
    lines[:] = rest


def as_code(app, env, node, contnode):
    """What stands in backticks is code, and a link if it is one of our names."""
    return contnode if node.get("reftype") == "obj" else None


def without_backlinks(app, pagename, templatename, context, doctree):
    """Take out the links from the source to the reference, which fail if a name has two paths."""
    if pagename.startswith("_modules/"):
        context["body"] = re.sub(r'<a class="viewcode-back".*?</a>', "", context["body"])


def setup(app):
    """Connect the functions above; docstrings before napoleon reads their sections."""
    app.connect("source-read", with_tables)
    app.connect("autodoc-process-docstring", as_rest, priority=400)
    app.connect("missing-reference", as_code)
    app.connect("html-page-context", without_backlinks)
