"""What the scalars of YAML stand for: numbers as in JSON and YAML 1.2, everything else is text."""

import pytest

pytest.importorskip("yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("3.", 3.0),
        (".5", 0.5),
        ("1e-4", 1e-4),
        ("1.5E+3", 1500.0),
        *(
            (word, word)
            for word in ("no", "010", "1:30", "0x10", "1_000", ".inf", "tRUE", "1e", "-")
        ),
    ],
    ids=repr,
)
def test_scalars(text, value):
    from clr_core.record._yaml import from_yaml

    read = from_yaml(f"key: {text}")["key"] if text != "-" else from_yaml('key: "-"')["key"]
    assert (read, type(read)) == (value, type(value))
