"""The worker: verdicts, deadlines, crashes, and what it must not load or run."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rl.answers.workers import (
    AnswerVerificationError,
    PairVerifier,
    VerificationCounters,
    is_verifiable,
)

# Cheap to send, far too large to finish: 2^(10^12) has 10^12 bits.
ENDLESS = "9^{9^{9^{9}}}"


@pytest.fixture(scope="module")
def verifier():
    verifier = PairVerifier(deadline_seconds=1.0)
    yield verifier
    verifier.close()


def test_verdicts_are_symmetric_and_cached(verifier):
    before = verifier.counters.num_pairs
    # A set against an inequality holds in one direction only for Math-Verify.
    assert verifier.is_same("x>2", r"(2,\infty)")
    assert verifier.is_same(r"(2,\infty)", "x>2")
    assert not verifier.is_same("|x|", "x")
    assert verifier.counters.num_pairs == before + 2


def test_worker_is_killed_at_the_deadline_and_replaced(verifier):
    timeouts = verifier.counters.num_timeouts
    started = time.perf_counter()
    assert not verifier.is_same(ENDLESS, "17")
    assert time.perf_counter() - started < 10
    assert verifier.counters.num_timeouts == timeouts + 1
    skipped = verifier.counters.num_skipped
    assert not verifier.is_same(ENDLESS, "18")  # not sent again
    assert verifier.counters.num_skipped == skipped + 1
    assert verifier.is_same("3:2", r"\frac{3}{2}")


def evaluate(verifier, expression):
    return verifier._started_pool().schedule(eval, args=(expression,))


def test_a_pair_whose_worker_is_killed_is_asked_again():
    verifier = PairVerifier(deadline_seconds=2.0)
    verifier.start()
    worker = evaluate(verifier, "__import__('os').getpid()").result()
    killing = threading.Timer(0.5, os.kill, (worker, signal.SIGKILL))
    killing.start()
    # The worker that is asked again comes to its deadline, which a killed one does not.
    assert not verifier.is_same(ENDLESS, "17")
    killing.join()
    assert (verifier.counters.num_timeouts, verifier.counters.num_errors) == (1, 0)
    assert evaluate(verifier, "__import__('os').getpid()").result() != worker
    verifier.close()


def test_a_pair_that_kills_its_worker_twice_is_counted_and_survived(monkeypatch):
    verifier = PairVerifier()
    asked = []

    def die(pair):
        asked.append(pair)
        return evaluate(verifier, "__import__('os').kill(__import__('os').getpid(), 9)").result()

    with monkeypatch.context() as patched:
        patched.setattr(verifier, "_result", die)
        assert not verifier.is_same("|-3|", "3")
    assert asked == [("3", "|-3|")] * 2
    assert verifier.counters.num_errors == 1
    assert verifier.is_same("|-4|", "4")
    verifier.close()


def test_worker_loads_neither_torch_nor_trl(verifier):
    verifier.start()
    modules = (
        verifier._started_pool().schedule(eval, args=("list(__import__('sys').modules)",)).result()
    )
    assert "math_verify" in modules
    assert not {"torch", "trl", "transformers", "vllm", "pytest"} & set(modules)


@pytest.mark.medium
def test_worker_does_not_run_the_users_script_and_ends_with_it(tmp_path):
    script = tmp_path / "script.py"
    marker = tmp_path / "imports.txt"
    script.write_text(
        f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n"
        "from rl.answers import same_answer\n"
        "if __name__ == '__main__':\n"
        "    assert same_answer('|-3|', '3')\n"
    )
    finished = subprocess.run([sys.executable, script], timeout=60, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert marker.read_text() == "__main__ "


@pytest.mark.parametrize(
    "text", ["3:2", "|x|", r"\lfloor 2.5\rfloor", "y=2x+3", r"\{x|x>2\}", "4!"]
)
def test_ordinary_answers_are_verifiable(text):
    assert is_verifiable(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "x" * 301 + "1",
        "9^{9^{9}}",
        "9**9**9",
        "9^9^9",
        "2^{((9^9))}",
        "x^{10000}",
        "100000000!",
        "(9!)!",
        "9!!",
        r"\sum_{n=1}^{10} n",
        r"\binom{9}{3}",
        "{1",
        "1}",
        "}1{",
        "(" * 9 + "1" + ")" * 9,
        "__import__('os')",
        "3 PM",
        "1\x00",
        "1\ud800",
        "1\u202e",
    ],
)
def test_costly_or_strange_text_is_not(text):
    assert not is_verifiable(text)


def test_counters_stop_the_run_above_the_threshold():
    # 100 pairs, 50 failed: a share of 0.5 is still accepted, 51 are not; 99 pairs are too few.
    VerificationCounters(num_pairs=0).check()
    VerificationCounters(num_pairs=100, num_timeouts=30, num_errors=20).check()
    VerificationCounters(num_pairs=99, num_timeouts=99).check()
    with pytest.raises(
        AnswerVerificationError, match=r"got 51 of 100, expected a share of at most"
    ):
        VerificationCounters(num_pairs=100, num_timeouts=31, num_errors=20).check()
