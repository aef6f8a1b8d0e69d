"""What it costs to check images in worker processes, beside decoding them in this one.

Images are smoothed noise of seed 0. Processor time is counted, of this process and its workers,
and of several repetitions the one with the least ratio is shown: other programs only add to it.
"""

import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from rl.data.image_reading import ImageSource, close_workers, read_images
from rl.data.images import read_image

KINDS = (("PNG", (64, 64), 2000), ("JPEG", (1024, 768), 150), ("PNG", (1024, 768), 60))
NUM_REPETITIONS = 3


def make_images(kind: str, size: tuple[int, int], number: int) -> list[bytes]:
    """Encode pictures of smooth noise."""
    generator, images = np.random.default_rng(0), []
    for _ in range(number):
        noise = generator.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        data = BytesIO()
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(data, kind)
        images.append(data.getvalue())
    return images


def processor_seconds() -> float:
    """Processor time of this process and of those that it has started and that run."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def measure(images: list[bytes]) -> tuple[float, float]:
    """Return seconds of processor time an image, decoded here and checked by workers."""
    start = processor_seconds()
    for data in images:
        read_image(data, "here")
    middle = processor_seconds()
    for _ in read_images(ImageSource(data, "here") for data in images):
        pass
    end = processor_seconds()
    return (middle - start) / len(images), (end - middle) / len(images)


def main() -> None:
    """Measure and print a line for each kind of image."""
    start = time.perf_counter()
    first = make_images("PNG", (64, 64), 1)
    list(read_images([ImageSource(data, "here") for data in first]))
    print(f"start of the first worker: {time.perf_counter() - start:.2f} s")
    list(read_images([ImageSource(first[0], "here")] * 1000))  # all workers
    for kind, size, number in KINDS:
        images = make_images(kind, size, number)
        found = [measure(images) for _ in range(NUM_REPETITIONS)]
        here, workers = min(found, key=lambda pair: pair[1] / pair[0])
        print(
            f"{kind} of {size[0]} x {size[1]}, {len(images[0]) // 1000} kB: "
            f"{1000 * here:.2f} ms here, {1000 * workers:.2f} ms by workers, "
            f"ratio {workers / here:.2f}"
        )
    close_workers()


if __name__ == "__main__":
    main()
