"""The `clr` command: what looks at training code and runs from outside, whatever the framework."""

from clr_core import __version__ as __version__
