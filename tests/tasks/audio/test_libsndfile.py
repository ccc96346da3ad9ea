import subprocess
import sys
from textwrap import dedent

# Each collection lets another thread run, wherever cffi allocates.
FIRST_USES = dedent("""
    import gc, os, threading, time
    from tasks.audio.libsndfile import soundfile

    import io
    import numpy as np

    def use():
        barrier.wait()
        file = io.BytesIO()
        soundfile.write(file, np.zeros(100, np.int16), 16_000, format="FLAC", subtype="PCM_16")
        soundfile.info(io.BytesIO(file.getvalue()))
        soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")

    for _ in range(15):
        child = os.fork()
        if child == 0:
            barrier = threading.Barrier(4)
            gc.callbacks.append(lambda *_: time.sleep(0))
            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
            gc.set_threshold(2)
            for thread in threads:
                thread.join()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
""")


def test_threads_may_use_it_at_once_from_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USES], capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
