"""Write a report: read runs and evaluations, choose what is shown, put the page together."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rl.data.whole_files import write_whole
from rl.errors import InputError
from rl.report.folders import ReportedRun, read_folders
from rl.report.packing import packed_bytes, rollout_blobs, rollout_room
from rl.report.page import render_page
from rl.report.rendered_maths import MATHS_SHARE, RenderedMaths, render_maths
from rl.report.shown_rollouts import ShownRollouts, choose_all_rollouts, rollout_files
from rl.report.thumbnails import IMAGES_SHARE, Thumbnails, has_images, make_thumbnails

MAX_MEGABYTES = 5.0


def write_report(
    folders: Sequence[Path],
    output: Path,
    *,
    steps: Sequence[int] | None = None,
    max_megabytes: float = MAX_MEGABYTES,
    smoothing: int = 1,
    show_progress: bool = False,
) -> list[str]:
    """Write one HTML page that needs no network.

    Args:
        folders: Of training runs, finished or not, and of evaluations; at least one.
        output: The page.
        steps: Steps of training runs whose rollouts are shown; None: of all steps what fits.
        max_megabytes: Size of the page, at least 1: as many rollouts are shown as fit.
        smoothing: Logged steps a curve is averaged over when the page opens, at least 1.
        show_progress: Whether to show bars.

    Returns:
        Sentences that say what is left out, and how the rest was chosen.

    Raises:
        InputError: If a folder is neither a run nor an evaluation, a file of it cannot be read, or
            no run has one of the steps.
    """
    runs = read_folders(folders)
    _check_steps(runs, steps or [])
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")

    def render(
        rollouts: Sequence[ShownRollouts], maths: RenderedMaths, thumbnails: Thumbnails
    ) -> str:
        return render_page(runs, rollouts, maths, thumbnails, smoothing=smoothing, date=date)

    without_rollouts = render([ShownRollouts() for _ in runs], RenderedMaths(), Thumbnails())
    room = rollout_room(int(max_megabytes * 1e6), len(without_rollouts))
    kept = MATHS_SHARE + (IMAGES_SHARE if has_images(runs) else 0)
    rollouts = choose_all_rollouts(
        runs,
        steps=steps,
        max_bytes=int(room * (1 - kept)),
        show_progress=show_progress,
    )
    left = room - packed_bytes(rollout_blobs(rollouts))
    for_images = left - int(room * MATHS_SHARE)
    thumbnails = make_thumbnails(runs, rollouts, max_bytes=for_images, show_progress=show_progress)
    max_bytes = left - thumbnails.num_bytes
    maths = render_maths(rollouts, max_bytes=max_bytes, show_progress=show_progress)
    # A lone surrogate in a run's name cannot be written in UTF-8.
    page = render(rollouts, maths, thumbnails).encode("utf-8", errors="replace").decode("utf-8")
    write_whole(output, page)
    notes = zip(runs, rollouts, strict=True)
    told = [f"{run.name}: {note}" for run, shown in notes for note in shown.notes]
    return [*told, *(note for note in (thumbnails.note, maths.note) if note)]


def _check_steps(runs: Sequence[ReportedRun], steps: Sequence[int]) -> None:
    known = {step for run in runs for step in rollout_files(run.path)} if steps else set()
    for step in steps:
        if step not in known:
            nearby = ", ".join(map(str, sorted(known, key=lambda s: abs(s - step))[:5]))
            raise InputError(
                f"--steps: got {step}, expected steps with rollouts. "
                f"Nearest to it: {nearby or 'none, no run has any'}."
            )
