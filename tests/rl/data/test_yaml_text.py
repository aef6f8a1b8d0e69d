"""YAML text: what it may unfold to, and what is refused."""

from itertools import pairwise

import pytest

from rl.data.yaml_text import read_yaml, read_yaml_file
from rl.errors import InputError


def bomb(levels):
    """Nine to the power of `levels` values in `levels` lines."""
    names = "abcdefghij"[: levels + 1]
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for earlier, name in pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{earlier}'] * 9)}]")
    return "\n".join(lines)


def test_aliases_may_be_used():
    found = read_yaml("a: &a [1, 2]\nb: *a\nc: [*a, *a]\n", "x")
    assert found == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}
    assert len(read_yaml(bomb(3), "x")) == 4


def test_a_long_text_without_aliases_is_read(monkeypatch):
    monkeypatch.setattr("rl.data.yaml_text.MAX_VALUES", 100)
    assert read_yaml(f"[{', '.join(['1'] * 200)}]", "x") == [1] * 200
    with pytest.raises(InputError, match="values once aliases"):
        read_yaml(bomb(3), "x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(8), "values once aliases are written out"),
        ("a: &a [*a]", "an alias within what it names, in line 1"),
        ("[" * 500, "nested this deeply"),
        ("a: !!int x", "invalid literal"),
        ("a: !!bool x", "'x'"),
        ("a: !!timestamp x", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("9" * 5000, "4300 digits"),
        ("a\0b", "special characters are not allowed"),
    ],
)
def test_what_is_refused(text, reason):
    with pytest.raises(InputError, match=rf"recipe: got .*{reason}"):
        read_yaml(text, "recipe")


def test_a_file(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a: é", encoding="utf-8")
    assert read_yaml_file(path) == {"a": "é"}
    path.write_text("a: é", encoding="latin-1")
    with pytest.raises(InputError, match=r"file.yaml: got invalid YAML, 'utf-8' codec can't"):
        read_yaml_file(path)
