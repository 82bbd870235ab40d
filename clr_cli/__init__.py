"""The `clr` command: what looks at training code and runs from outside, whatever the framework."""

TYPE_CHECKING = False  # `typing` would make the command slower to start.
if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from clr_core import __version__

        return __version__
