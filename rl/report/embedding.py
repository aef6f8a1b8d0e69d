"""How texts and values stand in a page: compressed, or as JSON that ends no element."""

import base64
import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any


def compress(text: str) -> str:
    """Return text as gzip in base64, the same for the same text, which needs no escape in HTML."""
    packed = gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode("ascii")


def to_json(value: Any) -> str:
    """Write JSON in ASCII that every browser reads; what is not a finite number becomes null."""
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def embed_json(value: Any) -> str:
    r"""Write JSON that can stand inside a <script> element of an HTML page.

    `<`, `>` and `&` are written as escapes of JSON, so that no tag, comment or entity can begin or
    end there; everything outside ASCII, U+2028 and U+2029 among it, is escaped as well.

    Example:
        >>> print(embed_json("</script>&"))
        "\u003c/script\u003e\u0026"
    """
    text = to_json(value)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def compressed_sizes(texts: Iterable[str]) -> list[int]:
    """Return the bytes that each text adds to a gzip of those before it and itself.

    Every text ends on a whole byte, which costs up to five: the sum is a little above what
    `compress` makes of all texts at once.
    """
    packer = zlib.compressobj(level=6)
    return [
        len(packer.compress(text.encode("utf-8"))) + len(packer.flush(zlib.Z_SYNC_FLUSH))
        for text in texts
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
