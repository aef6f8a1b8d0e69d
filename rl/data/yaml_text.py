"""YAML text as plain values, with the rules of YAML 1.2 and limits on what a text may unfold to."""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from rl.errors import InputError

# A few lines of aliases can stand for billions of values. Values, aliases written out, may be this
# many, and of a text that is itself long this many times as many as are written.
MAX_VALUES = 100_000
MAX_GROWTH = 10


class _Loader(yaml.SafeLoader):
    """Safe YAML 1.2 with its core schema, and the merge key `<<` of 1.1.

    So 1e-3 is a number and 017 is 17; `no`, `on`, 1:30 and 2025-01-01 are text. A key that stands
    in a mapping twice is an error, in place of the last one winning.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "float", "str", "seq", "map")
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a second key of the same text, before keys are merged."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if (key.tag, str(key.value)) in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key.value!r} a second time in line {line}")
            seen.add((key.tag, str(key.value)))
        return node

    def compose_document(self) -> yaml.Node | None:
        """Refuse a document that unfolds to more than anybody writes."""
        node = super().compose_document()
        if node is not None:
            _count_nodes(node, {}, set())
        return node

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Read digits, decimal unless they begin with 0o or 0x."""
        text = self.construct_scalar(node)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


for _tag, _rule, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_rule})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_int)


def read_yaml(text: str, what: str) -> Any:
    """Read one YAML document; no code is run and no object but plain values is made.

    Args:
        text: The document.
        what: Where it stands, for messages.

    Raises:
        InputError: If it is no YAML, is nested too deeply, or unfolds to too many values.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise InputError(
            f"{what}: got {text[:40]!r}..., expected YAML that is not nested this deeply. Mend it."
        ) from error
    # A tag such as !!int or !!bool before other text raises the last two.
    except (yaml.YAMLError, ValueError, KeyError) as error:
        raise InputError(f"{what}: got invalid YAML, {error}. Mend it.") from error


def read_yaml_file(path: Path) -> Any:
    """Read a file of one YAML document, see `read_yaml`.

    Raises:
        InputError: If it is no UTF-8 or no such YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: got invalid YAML, {error}. Save it as UTF-8.") from error
    return read_yaml(text, str(path))


def _count_nodes(node: yaml.Node, counts: dict[int, int], above: set[int]) -> int:
    """Count the values of a node, those behind aliases each time they are named."""
    if id(node) in above:
        raise yaml.YAMLError(f"an alias within what it names, in line {node.start_mark.line + 1}")
    if id(node) not in counts:
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        above.add(id(node))
        counts[id(node)] = 1 + sum(
            _count_nodes(part, counts, above)
            for entry in parts
            for part in (entry if isinstance(entry, tuple) else (entry,))
        )
        above.remove(id(node))
        if counts[id(node)] > max(MAX_VALUES, MAX_GROWTH * len(counts)):
            raise yaml.YAMLError(f"{counts[id(node)]} values once aliases are written out")
    return counts[id(node)]
