import hashlib
import json
import os
import subprocess
import sys

import pytest
from local_server import Handler, serving

from rl.errors import InputError
from rl.evaluation.problems.sources import load_source

# Loads a hub dataset in a process of its own, where nothing can be reached.
CODE = """
import sys
from rl.errors import InputError
from rl.evaluation.problems.labelled import load_benchmark
try:
    load_benchmark(sys.argv[1])
except InputError as error:
    print(error)
"""


def test_a_file_has_no_revision(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"prompt": "a"}]))
    found = load_source(str(path), split="test")
    assert (found.place, found.revision, found.fingerprint) == (str(path), None, None)
    assert found.table["prompt"] == ["a"]
    with pytest.raises(InputError, match=r"--revision: got 'main' for .*rows.json"):
        load_source(str(path), split="test", revision="main")


@pytest.mark.parametrize("offline", [True, False], ids=["offline_mode", "no_route"])
def test_without_a_network_one_line_names_the_local_way(tmp_path, offline):
    # An address that refuses connections stands for a network that is not there.
    unreachable = {"HF_HUB_OFFLINE": "1"} if offline else {"HF_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run(
        [sys.executable, "-c", CODE, "aime24"],
        env={**os.environ, "HF_HOME": str(tmp_path), **unreachable},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "got 'HuggingFaceH4/aime_2024', expected a file, or a dataset the hub" in run.stdout
    assert "or download it and pass aime24=FILE with its .jsonl" in run.stdout
    assert run.stdout.count("\n") == 1


# A hub with one dataset of one row, as far as the library asks for it.

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = b'{"id": 60, "problem": "1+1=", "answer": "2"}\n'
API = "/api/datasets/HuggingFaceH4/aime_2024"
LOADS = """
import sys
from rl.errors import InputError
from rl.evaluation.problems.labelled import load_benchmark
for revision in sys.argv[1:]:
    try:
        found = load_benchmark("aime24", revision=revision or None)
        print(found.problems[0].id, found.place, found.revision, len(found.fingerprint))
    except InputError as error:
        print(error)
"""


class Hub(Handler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        file = {"type": "file", "oid": "a" * 40, "size": len(ROWS), "path": "data/train.jsonl"}
        folder = {"type": "directory", "oid": "b" * 40, "size": 0, "path": "data"}
        info = {
            "id": "HuggingFaceH4/aime_2024",
            "sha": COMMIT,
            "siblings": [{"rfilename": "data/train.jsonl"}],
            "private": False,
            "gated": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
        }
        if path == API or path.startswith(f"{API}/revision/"):
            return self.found(info)
        if path.startswith(f"{API}/tree/"):
            tree = [file] if path.endswith("/data") else [folder, file]
            return self.found(tree)
        if path.endswith("/data/train.jsonl"):
            return self.found(ROWS, ETag=f'"{hashlib.sha1(ROWS).hexdigest()}"')
        return self.found({}, 404, **{"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def found(self, content, status=200, **headers):
        self.reply(content, status, **{"X-Repo-Commit": COMMIT, **headers})


def load_in_a_process(folder, endpoint, *revisions):
    run = subprocess.run(
        [sys.executable, "-c", LOADS, *revisions],
        env={**os.environ, "HF_HOME": str(folder), "HF_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return run.stdout.splitlines()


@pytest.mark.medium
def test_the_commit_that_was_loaded_is_told_also_from_the_cache(tmp_path):
    expected = f"60 HuggingFaceH4/aime_2024 {COMMIT} 16"
    with serving(Hub) as url:
        assert load_in_a_process(tmp_path, url, "", "main", COMMIT) == [expected] * 3
    later = load_in_a_process(tmp_path, url, "", COMMIT, "f" * 40)
    assert later[:2] == [expected] * 2
    assert later[2].startswith(f"--revision: got {'f' * 40}, expected {COMMIT}") or (
        "expected a file, or a dataset the hub can deliver" in later[2]
    )
