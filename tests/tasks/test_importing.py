"""Stages that begin at once, each in a thread, all find transformers."""

import subprocess
import sys

import pytest

BEGIN = """
import sys, threading, time
from tasks.evaluate.stage import EVALUATE
from tasks.label.stage import LABEL
from tasks.text.comparison import normaliser

assert "transformers" not in sys.modules
failed = []

class NoInputsError(Exception):
    pass

class NoInputs:
    def __getattr__(self, name):
        raise NoInputsError

def begin(work, argument):
    try:
        work(argument)
    except NoInputsError:
        pass  # all imports are done
    except BaseException as error:
        failed.append(f"{type(error).__name__}: {error}")

work = [(normaliser, "english"), (LABEL.make_shard, NoInputs()),
        (EVALUATE.make_shard, NoInputs()), (normaliser, "basic")]
threads = [threading.Thread(target=begin, args=one) for one in work]
for thread in threads:
    thread.start()
    time.sleep(float(sys.argv[1]))
for thread in threads:
    thread.join()
sys.exit("; ".join(failed) or 0)
"""


@pytest.mark.parametrize("pause_s", ["0", "0.05", "0.2"])
def test_threads_import_at_once(pause_s: str) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN, pause_s], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
