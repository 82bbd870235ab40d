"""The packages that the demo needs, and how to install them."""

from importlib.util import find_spec

# Import names, with the requirement to give to pip; "." is this repository.
_REQUIREMENTS = {
    "clr_core": ".",
    "torch": ".[torch]",
    "keras": ".[keras]",
    "tensorflow": "tensorflow-cpu",
    "jax": ".[jax]",
    "optax": ".[jax]",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
}


def missing() -> list[str]:
    """The packages that aren't installed; none is imported to find out."""
    return [package for package in _REQUIREMENTS if find_spec(package) is None]


def how_to_install(packages: list[str]) -> str:
    requirements = dict.fromkeys(_REQUIREMENTS[package] for package in packages)
    by_hand = " ".join(f"'{requirement}'" for requirement in requirements)
    return f"`make demo` does that; by hand, in the root of the repository: pip install {by_hand}"
