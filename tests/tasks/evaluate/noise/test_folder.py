import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from configs.evaluate import Noise
from storage.errors import UserError
from tasks.evaluate.noise.folder import NoiseFolder, check_noise_folders
from tests.builders import encoded, flac, m4a, sine, sphere
from tests.tasks.evaluate.noise.spoken import spoken


def tone(number, duration_s=3.0, rate_hz=16_000):
    return sine(duration_s, rate_hz=rate_hz, frequency_hz=100 * number)


FILES = {
    "1.wav": encoded(tone(1, rate_hz=44_100), "WAV", rate_hz=44_100),
    "2.flac": flac(tone(2)),
    "deep/er/3.OGG": encoded(tone(3, rate_hz=48_000), "OGG", rate_hz=48_000),
    "4.mp3": encoded(tone(4, rate_hz=22_050), "MP3", rate_hz=22_050),
    "5.m4a": m4a(tone(5)),
    "6.sph": sphere(tone(6, rate_hz=8_000), 8_000),
    "7.wav": encoded(np.stack((tone(7), tone(70)), axis=1), "WAV"),
}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "rain"
    for name, data in {**FILES, "README.txt": b"licences"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def rain(folder):
    return NoiseFolder.of("rain", str(folder), seed=0)


def loudest(noise):
    """The number of its tone; codecs with loss add others that are much weaker."""
    spectrum = np.abs(np.fft.rfft(noise))
    return round(int(np.argmax(spectrum)) * 16_000 / len(noise) / 100)


def test_all_formats_are_read_at_sixteen_kilohertz(rain):
    assert rain.files == tuple(sorted(FILES))
    for file in rain.files:
        recording = rain.read(file)
        assert recording.dtype == np.float32
        assert len(recording) == pytest.approx(48_000, rel=0.05)
        assert loudest(recording) == int(file.split(".")[0][-1])
        assert np.abs(recording).max() == pytest.approx(0.5, abs=0.1)


def test_all_recordings_are_used(rain):
    found = {loudest(rain.noise_for(spoken(f"u{number}"))) for number in range(60)}
    assert found == set(range(1, 8))


def test_noise_has_the_length_of_the_utterance(rain):
    for num_samples in (1, 16_000, 48_000, 200_000):
        assert len(rain.noise_for(spoken("a", num_samples))) == num_samples


def test_nothing_but_seed_kind_and_id_decides(folder, rain):
    noise = rain.noise_for(spoken("a"))
    again = NoiseFolder.of("rain", str(folder), seed=0)
    again.noise_for(spoken("b"))
    assert np.array_equal(noise, again.noise_for(spoken("a", speaker=None)))
    for other in [("sea", 0), ("rain", 1)]:
        changed = NoiseFolder.of(other[0], str(folder), seed=other[1])
        assert not np.array_equal(noise, changed.noise_for(spoken("a")))


def test_a_copy_elsewhere_gives_the_same_in_another_process(folder, rain, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    code = (
        "from tasks.evaluate.noise.folder import *;"
        "from tests.tasks.evaluate.noise.spoken import spoken;"
        f"found = NoiseFolder.of('rain', {str(copy)!r}, seed=0);"
        "noise = found.noise_for(spoken('a'));"
        "print(noise.tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout) == rain.noise_for(spoken("a")).tobytes()


def test_clips_are_recordings_as_they_are(rain):
    clips = list(rain.clips(99, 60_000))
    assert [len(one) for one in clips] == [len(rain.read(file)) for file in rain.files]
    assert [loudest(one) for one in clips] == [int(one.split(".")[0][-1]) for one in rain.files]
    few = list(rain.clips(3, 16_000))
    assert [len(one) for one in few] == [16_000] * 3
    assert len({loudest(one) for one in few}) == 3


def test_a_recording_that_changes_is_read_again(folder, rain):
    assert loudest(rain.read("2.flac")) == 2
    (folder / "2.flac").write_bytes(flac(tone(9)))
    os.utime(folder / "2.flac", ns=(0, 0))
    assert loudest(rain.read("2.flac")) == 9


def checked(folder):
    check_noise_folders(Noise(folders={"rain": str(folder)}))


def test_a_usable_folder_passes_the_check(folder):
    checked(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "evaluate.noise.folders.rain is '.*rain', expected a folder of recordings"),
        (lambda root: [(root / one).unlink() for one in FILES], "has no recordings, expected"),
        (lambda root: (root / "2.flac").write_bytes(b"?"), "2.flac' in evaluate.noise.folders.r"),
        (lambda root: (root / "2.flac").write_bytes(FILES["2.flac"][:-99]), "no recording of"),
        (lambda root: (root / "2.flac").write_bytes(flac(0 * tone(2))), "only digital silence"),
    ],
)
def test_an_unusable_folder_is_an_error_of_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message) as error:
        checked(folder)
    assert "\n" not in str(error.value)


def test_a_quick_check_decodes_nothing(folder):
    (folder / "2.flac").write_bytes(b"?")
    noise = Noise(folders={"rain": str(folder)})
    check_noise_folders(noise, thorough=False)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="expected a folder of recordings"):
        check_noise_folders(noise, thorough=False)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "rain.wav").write_bytes(FILES["1.wav"])
    with pytest.raises(UserError, match="expected a folder of recordings"):
        checked(tmp_path / "rain.wav")
