"""Signals that ask a run to stop."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from accelerate import Accelerator
from transformers import TrainerControl, TrainerState, TrainingArguments

from rl.errors import RunStopped, exit_on_bad_input
from rl.training.stopping import SIGNALS, StopAtSignal, StopSignals

TWICE = """
import os, signal
from rl.training.stopping import StopSignals
with StopSignals() as signals:
    signals.waits_for_step = True
    os.kill(os.getpid(), signal.SIGINT)
    print(signals.received.name, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("never", flush=True)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_step(number, capfd):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        signals.waits_for_step = True
        os.kill(os.getpid(), number)
        assert signals.received == number
        if number != signal.SIGINT:
            os.kill(os.getpid(), number)  # schedulers repeat themselves
    assert signal.getsignal(number) == before
    assert capfd.readouterr().err == f"\n{number.name}: saving after this step\n"


def test_where_there_is_no_step_it_ends_the_run(capsys):
    with (
        pytest.raises(SystemExit) as ended,
        exit_on_bad_input(),
        StopSignals(),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 75
    assert capsys.readouterr().err.startswith("stopped by SIGTERM outside of training steps, with")


@pytest.mark.medium
def test_a_second_ctrl_c_ends_at_once():
    result = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == -signal.SIGINT
    assert result.stdout == "SIGINT\n"


def test_another_thread_listens_to_nothing():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def listen():
        with StopSignals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [before]


def test_the_run_saves_and_ends_at_the_end_of_the_step(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    signals = StopSignals()
    callback = StopAtSignal(signals, Accelerator(cpu=True))
    state, control = TrainerState(global_step=3), TrainerControl()
    callback.on_step_begin(arguments, state, control)
    assert signals.waits_for_step
    callback.on_step_end(arguments, state, control)
    callback.on_save(arguments, state, control)
    assert not control.should_save
    signals.received = signal.SIGUSR1
    callback.on_step_end(arguments, state, control)
    assert control.should_save
    for is_main, message in (
        (True, "stopped by SIGUSR1 after step 3, which is saved."),
        (False, ""),
    ):
        state.is_world_process_zero = is_main
        with pytest.raises(RunStopped) as raised:
            callback.on_save(arguments, state, control)
        assert raised.value.code == 75
        assert raised.value.message.startswith(message)
    callback.on_train_end(arguments, state, control)
    assert not signals.waits_for_step
