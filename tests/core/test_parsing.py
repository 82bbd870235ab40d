"""Untrusted JSON and TOML: what is refused, and in which words."""

import pytest

from clr_core._parsing import from_json, from_toml, mapping


def dotted(parts):
    return ".".join(["a"] * parts) + " = 1"


def test_what_is_read():
    assert from_json('{"a": [1, 2.5, "x", null, true]}') == {"a": [1, 2.5, "x", None, True]}
    assert from_toml('a = 1\n[b]\nc = "x"') == {"a": 1, "b": {"c": "x"}}
    assert mapping([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}


def test_a_dotted_key_of_20_parts():
    value = from_toml(dotted(20))
    for _ in range(20):
        value = value["a"]
    assert value == 1
    with pytest.raises(ValueError, match=r"^it has a dotted key of more than 20 parts$"):
        from_toml(dotted(21))


@pytest.mark.parametrize("quotes", ['"{}"', "'{}'", '"""{}"""', "'''{}'''"])
def test_dots_in_a_string_or_comment_are_no_key(quotes):
    text = dotted(30)[:-4]
    assert from_toml("a = " + quotes.format(text)) == {"a": text}
    assert from_toml(f"a = 1  # {text}") == {"a": 1}
