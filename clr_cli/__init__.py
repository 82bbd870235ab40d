"""The `clr` command: what looks at training code and runs from outside, whatever the framework."""
