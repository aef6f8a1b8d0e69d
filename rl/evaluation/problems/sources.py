"""Where a benchmark's rows come from: a file, or the hub at a revision that is written down."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import datasets.config
import httpx
import huggingface_hub.constants
from datasets import Dataset
from huggingface_hub import HfApi

from rl.data.tables import Table, columns_of, load_hub_dataset, load_table
from rl.errors import InputError

_SECONDS_TO_ANSWER = 20
_COMMIT_IN_PATH = re.compile(r"[/\\]([0-9a-f]{40})[/\\]")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows and what identifies them.

    Attributes:
        table: Column -> one value per row.
        place: The file or the hub id.
        revision: Commit of the hub dataset that was loaded, None if it is not known or a file.
        fingerprint: The `datasets` library's hash of what it loaded, None for a file.
    """

    table: Table
    place: str
    revision: str | None = None
    fingerprint: str | None = None


def load_source(
    place: str,
    *,
    split: str,
    config_name: str | None = None,
    revision: str | None = None,
    local_way: str | None = None,
) -> Source:
    """Load a file, a folder or a hub dataset.

    The hub is asked first which commit the revision is, and that commit is loaded. Where it cannot
    be reached, a copy that was loaded before is used, and its commit written down.

    Args:
        place: A file (see `rl.data.tables.FILE_TYPES`), a folder or a hub id.
        split: Split of a hub dataset; a file has none.
        config_name: Configuration of a hub dataset.
        revision: Branch, tag or commit of a hub dataset; None takes its newest.
        local_way: What to write on the command line to use a local copy instead, for the error.

    Raises:
        InputError: If the source cannot be found or read, has no rows, a revision is given for
            something that is not on the hub, or only a copy of another commit is at hand.
    """
    is_hub_id = not Path(place).expanduser().exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", place)
    if not is_hub_id or place.lower().endswith((".json", ".jsonl", ".csv", ".parquet", ".gz")):
        if revision is not None:
            raise InputError(
                f"--revision: got {revision!r} for {place}, expected a hub dataset. Leave it out."
            )
        return Source(table=load_table(place, split=split, config_name=config_name), place=place)
    commit, is_reachable = _resolve(place, revision)
    rows = _load(place, split, config_name, commit or revision, is_reachable, local_way)
    loaded = commit or _commit_of(rows)
    if revision and _COMMIT.fullmatch(revision) and loaded not in (None, revision):
        raise InputError(
            f"--revision: got {revision}, expected {loaded}, the one copy of {place} that can be "
            "loaded without a network. Connect, or name that one."
        )
    return Source(
        table=columns_of(rows),
        place=place,
        revision=loaded,
        fingerprint=getattr(rows, "_fingerprint", None),
    )


def _resolve(hub_id: str, revision: str | None) -> tuple[str | None, bool]:
    try:
        info = HfApi().dataset_info(hub_id, revision=revision, timeout=_SECONDS_TO_ANSWER)
    except httpx.TransportError:
        return None, False
    except (httpx.HTTPError, OSError):  # Not found, gated, offline mode: loading says so better.
        return None, True
    return info.sha, True


def _load(
    hub_id: str,
    split: str,
    config_name: str | None,
    revision: str | None,
    is_reachable: bool,
    local_way: str | None,
) -> Dataset:
    more = {} if local_way is None else {"advice": local_way}
    with nullcontext() if is_reachable else _offline():
        rows = load_hub_dataset(hub_id, split, config_name, revision=revision, **more)
    if len(rows) == 0:
        raise InputError(f"dataset {hub_id}: got no rows, expected at least one. Check the split.")
    return rows


@contextmanager
def _offline() -> Iterator[None]:
    """Look in the cache only: without a network the library would try again for half a minute."""
    saved = datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = saved


def _commit_of(rows: Dataset) -> str | None:
    """Read the commit from the folder of the cache, which the library names after it."""
    for file in rows.cache_files:
        if found := _COMMIT_IN_PATH.search(file["filename"]):
            return found[1]
    return None
