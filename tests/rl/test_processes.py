"""A process that was left behind ends; one process works, and all get the result."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rl.processes import end_with_parent, from_main_process

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

SCRIPT = """
import multiprocessing
import time

from rl.processes import end_with_parent


def work():
    end_with_parent()
    print(multiprocessing.current_process().pid, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    process = multiprocessing.get_context("forkserver").Process(target=work)
    process.start()
    process.join()
"""


@pytest.mark.medium
def test_a_child_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait()
    child.wait(timeout=30)
    assert not child.is_running()


def test_a_main_process_has_no_parent():
    with pytest.raises(RuntimeError, match="got a main process"):
        end_with_parent()


# Duplicates are searched for and documents embedded by the first rank alone, for both.
CLUSTERING = """
import sys
from accelerate import PartialState
from rl.selfplay import duplicates
from rl.selfplay.documents import load_corpus

state = PartialState(cpu=True)
asked, searched = [], []

class CountedSearch(duplicates.DuplicateSearch):
    def add(self, text):
        searched.append(text)
        return super().add(text)

duplicates.DuplicateSearch = CountedSearch

def embed(texts):
    asked.extend(texts)
    return [[float("boat" in text), float("ape" in text)] for text in texts]

found = load_corpus(sys.argv[1], embed=embed, cluster_size=80, min_characters=1)
state.wait_for_everyone()
sizes = [len(topic.documents) for topic in found.topics]
did = f"searched {len(searched)}, embedded {len(asked)}"
print(f"rank {state.process_index}: {did}, topics of {sizes}", flush=True)
state.destroy_process_group()
"""


def count(to):
    for _ in range(to):
        yield
    return to


def test_one_process_runs_to_the_end():
    assert from_main_process(count(0)) == 0
    assert from_main_process(count(3)) == 3


@pytest.mark.medium
def test_two_ranks_prepare_documents_once(tmp_path):
    script = tmp_path / "clustering.py"
    script.write_text(CLUSTERING)
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(140):
        kind = "ape" if number < 75 else "boat"
        (documents / f"{number}.txt").write_text(f"{kind} {number}")
    (documents / "repeated.txt").write_text("Boat, 139!")
    command = [str(BIN / "torchrun"), "--standalone", "--nproc_per_node=2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [*command, str(documents)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    # Two ranks may write on one line.
    lines = sorted(re.findall(r"rank \d: searched .*?\]", result.stdout))
    sizes = lines[0].partition("topics of ")[2]
    assert lines == [
        f"rank 0: searched 141, embedded 140, topics of {sizes}",
        f"rank 1: searched 0, embedded 0, topics of {sizes}",
    ]
    assert sizes in ("[75, 65]", "[65, 75]")


@pytest.mark.parametrize(
    ("world_size", "printed"), [("2", "done\nregistered\n"), ("1", "done\nafter\nregistered\n")]
)
def test_a_rank_ends_after_what_is_registered_for_the_end(world_size, printed):
    code = """
import atexit
from rl.processes import end_rank
atexit.register(print, "registered")
print("done")
end_rank()
print("after")
"""
    environment = {**os.environ, "WORLD_SIZE": world_size}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == printed
