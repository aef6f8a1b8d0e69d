"""Work is done in a process of its own."""

import os

import pytest
from measurements.alone import alone


def test_work_is_done_in_another_process():
    assert alone(os.getppid) == os.getpid()
    with pytest.raises(ZeroDivisionError):
        alone(divmod, 1, 0)
