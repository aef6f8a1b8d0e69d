"""Texts and values as they stand in a page."""

import base64
import gzip
import json
import re

from rl.report.embedding import compress, compressed_sizes, embed_json, to_json

HOSTILE = "</script><script>alert(1)</script><!--\u2028\u2029&amp;"


def test_embedded_json_cannot_leave_its_element():
    text = embed_json({HOSTILE: [HOSTILE, float("nan"), float("inf"), "\ud800"]})
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert text.isascii()
    assert json.loads(text) == {HOSTILE: [HOSTILE, None, None, "\ud800"]}


def test_compressed_text_comes_back_and_is_always_the_same():
    packed = compress(to_json(HOSTILE))
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == HOSTILE
    assert packed == compress(to_json(HOSTILE))


def test_what_was_said_before_costs_next_to_nothing_again():
    assert compressed_sizes([]) == []
    first, second, other = compressed_sizes(["a sentence of some length", "a sentence of", "Zq7!"])
    assert second < first / 2
    assert other >= 4  # four letters that nothing before holds
    assert compressed_sizes(["\u00fc"]) == compressed_sizes(["\u00e4"])
