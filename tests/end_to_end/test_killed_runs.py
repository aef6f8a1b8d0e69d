"""Runs killed at any moment go on, with one command, to what an undisturbed run computes."""

import pytest
import yaml
from killed_runs import (
    RUNS,
    difference,
    run_killed,
    run_killed_before_file,
    run_whole,
    settings_of,
)

NUM_KILLS = 8  # of each kind of run


@pytest.fixture(scope="module")
def killable(recipe, tmp_path_factory):
    """Name -> settings, ranks, the folder of an undisturbed run, and its seconds."""

    def prepare(name):
        settings, num_ranks = settings_of(yaml.safe_load(recipe.read_text()), name)
        folder = tmp_path_factory.mktemp("whole")
        return settings, num_ranks, folder, run_whole(settings, num_ranks, folder)

    return prepare


def log_of(folder):
    return (folder / "log.txt").read_text()[-3000:]


def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(killable, tmp_path):
    settings, num_ranks, whole, seconds = killable("two updates a batch")
    for seed in range(3):
        folder = tmp_path / str(seed)
        _, codes = run_killed(settings, num_ranks, folder, seed, seconds)
        assert codes == [0] * num_ranks, log_of(folder)
        assert difference(folder, whole) is None
    # Before the manifest is written, and before the folder gets its name.
    lines = []
    for number in range(9, 100, 3):
        folder = tmp_path / f"file {number}"
        was_killed, codes = run_killed_before_file(settings, num_ranks, folder, number)
        assert codes == [0] * num_ranks, log_of(folder)
        assert difference(folder, whole) is None
        lines = (folder / "files.txt").read_text().splitlines()
        if not was_killed:
            break
    assert any("manifest.json" in line for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_killed_at_random_moments(killable, tmp_path, name):
    settings, num_ranks, whole, seconds = killable(name)
    num_kills, differences, seed = 0, [], 0
    while num_kills < NUM_KILLS:
        folder = tmp_path / str(seed)
        kills, codes = run_killed(settings, num_ranks, folder, seed, seconds)
        num_kills += kills
        refused = codes != [0] * num_ranks
        differences.append(log_of(folder) if refused else difference(folder, whole))
        seed += 1
    exact = differences.count(None)
    print(f"\n| {name} | {num_kills} kills in {seed} runs | {exact} exact |", flush=True)
    assert [found for found in differences if found] == []


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_killed_before_each_of_its_files(killable, tmp_path, name):
    settings, num_ranks, whole, _ = killable(name)
    differences, number = [], 0
    while True:
        folder = tmp_path / str(number)
        was_killed, codes = run_killed_before_file(settings, num_ranks, folder, number)
        if not was_killed:
            break
        refused = codes != [0] * num_ranks
        differences.append(log_of(folder) if refused else difference(folder, whole))
        number += 1
    exact = differences.count(None)
    print(f"\n| {name} | {number} kills before a file | {exact} exact |", flush=True)
    assert [found for found in differences if found] == []
