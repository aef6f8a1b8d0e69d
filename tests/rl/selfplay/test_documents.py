"""Documents from folders and files, cut, freed of near-duplicates and clustered."""

import json

import numpy as np
import pytest

from rl.errors import InputError
from rl.selfplay import duplicates
from rl.selfplay.document_vectors import VectorFiles
from rl.selfplay.documents import load_corpus, split_text
from rl.selfplay.duplicates import near_duplicates, shingles

LONG = "Rivers carve valleys over thousands of years while glaciers grind wide basins. " * 3


def keys_and_texts(topics):
    return {c.key: [d.text for d in c.documents] for c in topics}


def load(source, **settings):
    return load_corpus(source, **{"min_characters": 1, **settings}).topics


def test_a_folder_of_text_and_markdown(tmp_path):
    (tmp_path / "b.md").write_text("bears")
    (tmp_path / "a.txt").write_text("\ufeffapes\n")
    (tmp_path / "skip.pdf").write_bytes(b"\xff")
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "c.txt").write_text("cod")
    assert keys_and_texts(load(tmp_path)) == {"documents": ["apes", "bears"], "sea": ["cod"]}
    assert keys_and_texts(load(tmp_path / "b.md")) == {"documents": ["bears"]}


def test_json_lines_with_a_key(tmp_path):
    path = tmp_path / "d.jsonl"
    rows = [{"body": "apes", "topic": 1}, {"body": "bears", "topic": 1}, {"body": "c", "topic": 2}]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = load(path, text_column="body", key_column="topic", min_characters=2)
    assert keys_and_texts(found) == {"1": ["apes", "bears"]}
    with pytest.raises(InputError, match="no column 'text', expected one of body, topic"):
        load(path)
    path.write_text('{"text": 7}')
    with pytest.raises(InputError, match=r"row 0 \(from 0\): got 7 as text, expected text"):
        load(path)


def test_bad_sources(tmp_path):
    with pytest.raises(InputError, match="got no document of at least 100 characters"):
        load_corpus(tmp_path)
    with pytest.raises(InputError, match="expected a file that exists"):
        load_corpus(tmp_path / "none.jsonl")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"a\.txt: got .*, expected text in UTF-8"):
        load(tmp_path)
    with pytest.raises(InputError, match="got 0, 100 and 32768, expected at least 1"):
        load_corpus(tmp_path, cluster_size=0)


def test_large_topics_are_split_evenly(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{n}", "key": "k"}) for n in range(45)))
    found = load(path, key_column="key", cluster_size=20)
    assert [(c.key, len(c.documents)) for c in found] == [
        ("k part 0", 15),
        ("k part 1", 15),
        ("k part 2", 15),
    ]


def test_embeddings_cluster_related_documents(tmp_path):
    path = tmp_path / "d.jsonl"
    texts = [f"{kind} number {n}" for n in range(6) for kind in ("ape", "boat")]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))

    def embed(texts):
        return np.array([[1.0, 0.0] if "ape" in text else [0.0, 1.0] for text in texts])

    found = load(path, embed=embed, cluster_size=6)
    kinds = [{document.text.split()[0] for document in c.documents} for c in found]
    assert sorted(kinds, key=sorted) == [{"ape"}, {"boat"}]
    assert found == load(path, embed=embed, cluster_size=6)


def test_topics_of_equal_vectors_are_found_and_split(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{n}"}) for n in range(12)))
    found = load(path, embed=lambda texts: np.ones((len(texts), 2)), cluster_size=5)
    assert sorted(len(c.documents) for c in found) == [4, 4, 4]


def test_a_document_is_embedded_once(tmp_path):
    """Also by later runs, over more documents, and after a stop."""
    asked = []

    def embed(texts):
        if len(asked) >= 200:
            raise KeyboardInterrupt
        asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts])

    path = tmp_path / "d.jsonl"
    files = VectorFiles.of_model(tmp_path / "vectors", "owner/model", "4 windows")
    assert files.folder.name.startswith("model-")
    assert files != VectorFiles.of_model(tmp_path / "vectors", "owner/model", "8 windows")
    # 128 documents are embedded at a time; what was embedded before a stop is kept.
    path.write_text("\n".join(json.dumps({"text": f"{n} " * (n % 7 + 1)}) for n in range(300)))
    settings = {"embed": embed, "vector_files": files, "duplicate_threshold": None}
    with pytest.raises(KeyboardInterrupt):
        load(path, **settings)
    assert (len(asked), len(files.read())) == (256, 256)
    del asked[:200]
    first = load(path, **settings)
    assert len(asked) == 56 + 44
    assert len(set(asked)) == 100
    assert load(path, **settings) == first
    assert len(asked) == 100
    [*_, damaged] = files.folder.glob("*.npz")
    damaged.write_bytes(b"PK")
    with pytest.raises(InputError, match="expected a file as this project writes it"):
        load(path, **settings)


def test_counts_of_what_is_left_out(tmp_path):
    (tmp_path / "a.txt").write_text(LONG + "\n\n" + "Something else about clocks. " * 5)
    (tmp_path / "b.txt").write_text(LONG)
    (tmp_path / "c.txt").write_text("short")
    found = load_corpus(tmp_path, max_characters=len(LONG))
    assert (found.num_read, found.num_parts) == (3, 4)
    assert (found.num_short, found.num_duplicates) == (1, 1)
    assert [len(c.documents) for c in found.topics] == [2]
    assert found.summary.startswith("3 documents read, 4 once long ones are cut, 1 too short")


@pytest.mark.medium
def test_a_real_embedder_reads_more_than_the_end(tmp_path):
    """The last 256 tokens of a document are a footer, on half of those of each subject."""
    pytest.importorskip("sentence_transformers")
    from rewards.selfplay.games import build_spell

    sea = "Whales and dolphins swim in the deep ocean and dive for squid and cod. "
    bank = "The bank's shareholders got dividends as the stock market rose this year. "
    foot = "Imprint. Copyright, contact, terms of use, privacy and cookies: see below. "
    texts = {f"{what[:3]} {n}": f"{n} " + what * 60 for what in (sea, bank) for n in range(3)}
    for number, (name, text) in enumerate(texts.items()):
        (tmp_path / f"{name}.txt").write_text(text + foot * (25 if number % 2 else 0))
    game = build_spell(
        documents=str(tmp_path),
        tasks=["document_qa"],
        document_settings={
            "cluster_size": 3,
            "duplicate_threshold": None,
            "cache_folder": str(tmp_path / "vectors"),
        },
    )
    groups = [{d.text[2:7] for d in c.documents} for c in game.topics["document_qa"]]
    assert sorted(map(len, groups)) == [1, 1]
    assert len(list((tmp_path / "vectors").glob("*/*.npz"))) == 1


def test_a_real_embedder_finds_subjects(tmp_path):
    pytest.importorskip("sentence_transformers")
    from rl.answers.embedding import SentenceTransformerEmbedder

    seas = [f"Whales and {other} swim in the deep ocean." for other in ("dolphins", "squid", "cod")]
    money = [f"The bank's shareholders got {what} this year." for what in ("dividends", "losses")]
    money.append("The stock market and the bank's shares fell this year.")
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(json.dumps({"text": t}) for p in zip(seas, money) for t in p))  # noqa: B905
    found = load(path, embed=SentenceTransformerEmbedder().embed, cluster_size=4)
    groups = [{document.text for document in c.documents} for c in found]
    assert {frozenset(g) for g in groups} == {frozenset(seas), frozenset(money)}


def test_texts_are_split_between_paragraphs():
    assert split_text("", 5) == [""]
    assert split_text("one\n\ntwo\n \nthree", 8) == ["one\n\ntwo", "three"]
    assert split_text("abcdefgh", 3) == ["abc", "def", "gh"]
    assert all(len(part) <= 50 for part in split_text(LONG * 4, 50))


def test_near_duplicates_are_left_out(tmp_path):
    (tmp_path / "a.txt").write_text(LONG)
    (tmp_path / "b.txt").write_text(LONG + " End.")
    (tmp_path / "c.txt").write_text("Something quite different about clocks and their makers.")
    (tmp_path / "d.txt").write_text(LONG)
    texts = keys_and_texts(load(tmp_path))["documents"]
    assert [text[:9] for text in texts] == ["Rivers ca", "Something"]
    kept = keys_and_texts(load(tmp_path, duplicate_threshold=None))["documents"]
    assert len(kept) == 3  # equal texts are one document in any case


def test_near_duplicates_are_found_once(tmp_path, monkeypatch):
    """Of enough documents the result is kept under all that it depends on."""
    searched = []

    class CountedSearch(duplicates.DuplicateSearch):
        def add(self, text):
            searched.append(text)
            return super().add(text)

    monkeypatch.setattr(duplicates, "DuplicateSearch", CountedSearch)
    monkeypatch.setattr(duplicates, "WORTH_KEEPING", 3)
    path, kept = tmp_path / "d.jsonl", tmp_path / "kept"

    def num_left(*texts, **settings):
        path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
        return len(load(path, duplicate_folder=kept, **settings)[0].documents)

    texts = ("a b c d e f", "a b c d e x", "A b, c d e f!")
    assert [num_left(*texts), len(searched)] == [2, 3]
    assert [num_left(*texts), len(searched)] == [2, 3]
    # Another threshold, other texts and another order are other results; two texts are not kept.
    assert [num_left(*texts, duplicate_threshold=0.59), len(searched)] == [1, 6]
    assert [num_left(*texts, "clocks"), len(searched)] == [3, 10]
    assert [num_left(*texts[::-1]), len(searched)] == [2, 13]
    assert [num_left(*texts[:2]), num_left(*texts[:2]), len(searched)] == [2, 2, 17]
    assert len(list(kept.iterdir())) == 4
    for damage in ("[nul", "[null]"):
        for file in kept.iterdir():
            file.write_text(damage)
        with pytest.raises(InputError, match=r"expected a list of 3 positions\. Delete it"):
            num_left(*texts)


def test_near_duplicates_by_hand():
    assert near_duplicates([]) == []
    assert near_duplicates(["", ""]) == [None, 0]
    # Runs of 3 of 6 words: 4 each; "x" for the last word leaves 3 of 5 together: 0.6.
    texts = ["a b c d e f", "a b c d e x", "A b, c d e f!"]
    assert shingles(texts[0]) == {"a b c", "b c d", "c d e", "d e f"}
    assert near_duplicates(texts, 0.61) == [None, None, 0]
    assert near_duplicates(texts, 0.59) == [None, 0, 0]
    with pytest.raises(InputError, match="threshold: got 0, expected above 0"):
        near_duplicates([], 0)
