import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.corpora.synthetic import SYNTHETIC_CORPORA
from tasks.demo.corpora.write import MAKERS, UnknownDemoCorpusError, write_corpora
from tasks.demo.formats.archives import CHECKSUMS_NAME, MARKER_NAME
from tasks.demo.speech.utterances import Defect, defect_at

NUM_TRAIN, NUM_EVAL = 54, 6
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_corpora(tmp_path_factory.mktemp("first"), list(MAKERS), 3, NUM_TRAIN, NUM_EVAL)


def unpacked(path: Path) -> Files:
    with tarfile.open(path) as tar:
        return {
            member.name: file.read()
            for member in tar.getmembers()
            if (file := tar.extractfile(member)) is not None
        }


@pytest.fixture(scope="module")
def libri_train(corpora: dict[str, Path]) -> Files:
    return unpacked(corpora["librispeech"] / "train-clean-100.tar.gz")


@pytest.fixture(scope="module")
def ted(corpora: dict[str, Path]) -> Files:
    return unpacked(corpora["tedlium"] / "TEDLIUM_release-3.tgz")


def transcripts(files: Files) -> dict[str, str]:
    """The transcript lines of LibriSpeech by id."""
    lines = [
        line
        for name, content in files.items()
        if name.endswith(".trans.txt")
        for line in content.decode().splitlines()
    ]
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def stm_segments(content: bytes) -> list[tuple[str, str, float, float, str, str]]:
    """File, speaker, start and end in seconds, label and text of every line except comments."""
    fields = [
        line.split(" ", 6)
        for line in content.decode().splitlines()
        if line and not line.startswith(";;")
    ]
    return [(f[0], f[2], float(f[3]), float(f[4]), f[5], f[6]) for f in fields]


def contents(folder: Path) -> Files:
    """Every file below a folder by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_names_of_the_demo_corpora_are_known_without_the_demo() -> None:
    assert tuple(MAKERS) == SYNTHETIC_CORPORA


@pytest.mark.parametrize(
    "names",
    [["librispeech"], pytest.param(list(MAKERS), marks=pytest.mark.slow)],
    ids=["librispeech", "all"],
)
def test_a_second_build_in_another_folder_is_identical(
    corpora: dict[str, Path], tmp_path: Path, names: list[str]
) -> None:
    second = write_corpora(tmp_path, names, 3, NUM_TRAIN, NUM_EVAL)
    assert second.keys() == set(names)
    for name, folder in second.items():
        assert contents(folder) == contents(corpora[name]), name


def test_checksums_cover_every_file(corpora: dict[str, Path]) -> None:
    for folder in corpora.values():
        listed = dict(
            reversed(line.split("  "))
            for line in (folder / CHECKSUMS_NAME).read_text().splitlines()
        )
        written = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in contents(folder).items()
            if name not in (CHECKSUMS_NAME, MARKER_NAME)
        }
        assert listed == written and written


def test_a_complete_corpus_is_kept_and_replaced_for_other_parameters(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_corpora(tmp_path, ["librispeech"], 1, 3, 1, lambda *call: calls.append(call))
    assert calls == [(done, 5) for done in range(1, 6)]
    archive = tmp_path / "librispeech" / "dev-clean.tar.gz"
    before = archive.stat()
    calls.clear()
    write_corpora(tmp_path, ["librispeech"], 1, 3, 1, lambda *call: calls.append(call))
    assert calls == [(5, 5)] and archive.stat() == before
    write_corpora(tmp_path, ["librispeech"], 2, 3, 1)
    changed = archive.read_bytes()
    archive.write_bytes(b"cut short")
    write_corpora(tmp_path, ["librispeech"], 2, 3, 1)
    assert archive.read_bytes() == changed


def test_a_killed_run_leaves_no_partial_archive(tmp_path: Path) -> None:
    arguments = (str(tmp_path), ["librispeech"], 3, 2_000, 1)
    programme = (
        "from pathlib import Path; from tasks.demo.corpora.write import write_corpora\n"
        f"folder, *rest = {arguments!r}\nwrite_corpora(Path(folder), *rest)"
    )
    process = subprocess.Popen([sys.executable, "-c", programme])
    part = tmp_path / "librispeech" / ".train-clean-100.tar.gz.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [path.name for path in (tmp_path / "librispeech").iterdir()] == [part.name]
    write_corpora(tmp_path, ["librispeech"], 3, 2, 1)
    assert not part.exists()
    assert len(transcripts(unpacked(tmp_path / "librispeech" / "train-clean-100.tar.gz"))) == 2


def test_unknown_corpus_and_empty_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownDemoCorpusError, match="'timit'; it can make ami, common_voice"):
        write_corpora(tmp_path, ["timit"], 1, 1, 1)
    with pytest.raises(ValueError, match="num_eval_utterances is 0, expected at least 1"):
        write_corpora(tmp_path, ["librispeech"], 1, 1, 0)
    assert list(tmp_path.iterdir()) == []


def test_librispeech_parts_have_their_layout_and_their_own_speakers(
    corpora: dict[str, Path],
) -> None:
    speakers: dict[str, set[str]] = {}
    for part, num in (("train-clean-100", NUM_TRAIN), ("dev-clean", NUM_EVAL)):
        files = unpacked(corpora["librispeech"] / f"{part}.tar.gz")
        lines = transcripts(files)
        assert len(lines) == num
        for name in files:
            if name.endswith(".flac"):
                utterance_id = Path(name).stem
                speaker, chapter, _ = utterance_id.split("-")
                expected = f"LibriSpeech/{part}/{speaker}/{chapter}/{utterance_id}.flac"
                assert name == expected and utterance_id in lines
        speakers[part] = {utterance_id.split("-")[0] for utterance_id in lines}
    assert not speakers["train-clean-100"] & speakers["dev-clean"]


def test_librispeech_audio_is_16_khz_16_bit_mono_and_its_text_upper_case(
    libri_train: Files,
) -> None:
    lines = transcripts(libri_train)
    durations_s = []
    for name, content in libri_train.items():
        if not name.endswith(".flac") or Path(name).stem.endswith("100100-0002"):
            continue
        info = soundfile.info(io.BytesIO(content))
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert info.format == "FLAC"
        durations_s.append(info.duration)
    assert durations_s.count(0.12) == 1  # nobody speaks
    spoken_s = [duration_s for duration_s in durations_s if duration_s != 0.12]
    assert all(1.0 <= duration_s <= 6.0 or duration_s > 8.0 for duration_s in spoken_s)
    assert all(text == text.upper() for text in lines.values())


def test_librispeech_has_an_utterance_of_its_test_part_in_training(
    corpora: dict[str, Path], libri_train: Files
) -> None:
    test_part = unpacked(corpora["librispeech"] / "test-clean.tar.gz")
    first = next(name for name in test_part if name.endswith("-0000.flac"))
    [copy] = [name for name, content in libri_train.items() if content == test_part[first]]
    spoken = transcripts(libri_train)[Path(copy).stem]
    assert spoken == transcripts(test_part)[Path(first).stem] != ""


def test_librispeech_defects_are_at_their_documented_places(libri_train: Files) -> None:
    lines = transcripts(libri_train)
    ids = list(lines)
    flac = {Path(name).stem: content for name, content in libri_train.items()}
    found = {defect_at(index): utterance_id for index, utterance_id in enumerate(ids)}
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(io.BytesIO(flac[found[Defect.UNREADABLE_AUDIO]]))
    assert found[Defect.MISSING_AUDIO] not in flac
    assert lines[found[Defect.EMPTY_TRANSCRIPT]] == ""
    assert soundfile.info(io.BytesIO(flac[found[Defect.OVER_LONG]])).duration > 8.0
    assert [index for index in range(NUM_TRAIN) if defect_at(index) is Defect.WRONG_TRANSCRIPT] == [
        10,
        50,
    ]


def test_tedlium_talks_pair_sph_and_stm_except_the_one_without_audio(ted: Files) -> None:
    def names(folder: str, kind: str) -> set[str]:
        start = f"TEDLIUM_release-3/{folder}/{kind}/"
        return {Path(name).stem for name in ted if name.startswith(start)}

    for folder in ("legacy/dev", "legacy/test"):
        assert names(folder, "sph") == names(folder, "stm") != set()
    lost = names("data", "stm") - names("data", "sph")
    assert len(lost) == 1 and names("data", "sph") < names("data", "stm")
    talks = [names(folder, "sph") for folder in ("data", "legacy/dev", "legacy/test")]
    assert len(set.union(*talks)) == sum(map(len, talks))


def test_tedlium_sphere_files_are_16_khz_16_bit_mono_of_both_byte_orders(ted: Files) -> None:
    byte_orders = set()
    for name, content in ted.items():
        if not name.endswith(".sph"):
            continue
        assert content.startswith(b"NIST_1A\n   1024\n")
        header = content[:1024].decode("ascii").split("end_head")[0]
        fields = {line.split()[0]: line.split()[-1] for line in header.splitlines()[2:] if line}
        assert (fields["sample_rate"], fields["channel_count"]) == ("16000", "1")
        assert (fields["sample_coding"], fields["sample_n_bytes"]) == ("pcm", "2")
        byte_orders.add(fields["sample_byte_format"])
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="int16")
        assert rate_hz == 16_000 and samples.ndim == 1
        if "/data/sph/AdaAbbott" in name:
            assert samples.size < int(fields["sample_count"])
        else:
            assert samples.size == int(fields["sample_count"])
        # Read in the wrong byte order speech is full-scale noise.
        assert np.sqrt(np.mean((samples / 32768.0) ** 2)) < 0.25
    assert byte_orders == {"01", "10"}


def test_tedlium_segments_hold_their_speech_and_the_documented_defects(ted: Files) -> None:
    train = [
        segment
        for name, content in ted.items()
        if name.startswith("TEDLIUM_release-3/data/stm/") and not name.endswith("X.stm")
        for segment in stm_segments(content)
    ]
    spoken = [row for row in train if row[1] != "inter_segment_gap"]
    assert len(spoken) == NUM_TRAIN
    assert all(label == "<NA>" for *_, label, _ in spoken)
    empty = [index for index, row in enumerate(spoken) if row[5] == ""]
    over_long = [index for index, row in enumerate(spoken) if row[3] - row[2] > 8.0]
    assert (empty, over_long) == ([6], [8])
    text = " ".join(row[5] for row in spoken)
    assert " 's " in text and " 't " in text and "<unk>" in text
    assert "colour" not in text and text == text.lower()
    for rows in (train, stm_segments(ted[first_stm(ted, "legacy/dev")])):
        gaps = [row for row in rows if row[1] == "inter_segment_gap"]
        assert gaps and all(
            row[4:] == ("<o,,unknown>", "ignore_time_segment_in_scoring") for row in gaps
        )
    assert ted[first_stm(ted, "data")].startswith(b";; ")


def first_stm(files: Files, folder: str) -> str:
    return min(name for name in files if name.startswith(f"TEDLIUM_release-3/{folder}/stm/"))


def test_tedlium_segment_times_match_the_audio(ted: Files) -> None:
    """Speech is louder than the pauses between the segments."""
    stm = first_stm(ted, "legacy/test")
    samples, rate_hz = soundfile.read(io.BytesIO(ted[stm.replace("stm", "sph")]))
    speaks = np.zeros(samples.size, dtype=bool)
    for _, speaker, start_s, end_s, _, _ in stm_segments(ted[stm]):
        if speaker != "inter_segment_gap":
            speaks[int(start_s * rate_hz) : int(end_s * rate_hz)] = True
    assert np.mean(samples[speaks] ** 2) > 5 * np.mean(samples[~speaks] ** 2)
