"""Hashes of what settings name: code, documents, and nothing else."""

import sys

import pytest

from rl.training.named_files import file_hashes


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def test_settings_that_name_no_file():
    assert file_hashes({}) == {}
    settings = {"rewards": {"majority_vote": {}, "token_entropy": {"weight": 0.1}}, "model": "m"}
    assert file_hashes({**settings, "advantage": "normalized", "answer_comparer": None}) == {}
    # A hub id, or a file that went away.
    assert file_hashes({"selfplay": {"game": "spell", "documents": "owner/name"}}) == {}
    assert file_hashes({"rewards": {"gone.py:f": {}}}) == {}


def test_code_wherever_it_is_named(write):
    mine = write("mine.py", "one")
    settings = {
        "rewards": {f"{mine}:f": {"weight": 1.0}, "majority_vote": None},
        "guards": {f"{mine}:G": "stop"},
        "answer_methods": ["boxed", f"{mine}:find"],
        "answer_comparer": f"{mine}:same",
        "advantage": {"centered": None},
        "model": f"{mine}:f",  # names no code
    }
    found = file_hashes(settings)
    assert sorted(found) == ["answer_comparer", "answer_methods", "guards", "rewards"]
    [content] = {h for hashes in found.values() for h in hashes.values()}
    assert list(found["rewards"]) == [f"{mine}:f"]
    write("mine.py", "two")
    assert content not in file_hashes(settings)["rewards"].values()


def test_code_of_a_module_that_was_loaded(write, monkeypatch):
    module = type(sys)("my_rewards")
    module.__file__ = write("my_rewards.py", "one")
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    assert list(file_hashes({"rewards": {"my_rewards:f": {}}})["rewards"]) == ["my_rewards:f"]
    assert file_hashes({"rewards": {"not_loaded:f": {}}}) == {}


def test_documents_and_prompts_of_self_play(write, tmp_path):
    one, two = write("folder/one.txt", "1"), write("folder/two.txt", "2")
    folder = str(tmp_path / "folder")
    settings = {
        "selfplay": {
            "game": "spell",
            "documents": {"document_qa": folder, "testbed": one},
            "document_settings": {"cache_folder": folder},
        }
    }
    before = file_hashes(settings)["selfplay"]
    assert sorted(before) == [folder, one]
    write("folder/two.txt", "changed")
    after = file_hashes(settings)["selfplay"]
    assert before[one] == after[one]
    assert before[folder] != after[folder]
    # A name is content too: topics are named after folders.
    (tmp_path / "folder" / "two.txt").rename(tmp_path / "folder" / "three.txt")
    assert file_hashes(settings)["selfplay"][folder] != after[folder]
    assert two not in after


def test_labels_count_where_a_reward_sees_them(write):
    data = write("labelled.jsonl", "{}")
    assert file_hashes({"dataset": data, "supervised": False}) == {}
    assert list(file_hashes({"dataset": data, "supervised": True})["dataset"]) == [data]
