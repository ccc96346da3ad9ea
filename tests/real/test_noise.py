"""Noise on real speech: the ratio that was asked for, and more errors with more noise."""

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.evaluate import Noise
from configs.schema import Label, Teacher
from storage.outcome import Rejected
from storage.receipt import FileRef
from storage.sink import hash_file
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples, decode_flac
from tasks.evaluate.conditions import AddedNoise
from tasks.evaluate.noise.folder import check_noise_folders
from tasks.evaluate.noise.kinds import source_of
from tasks.evaluate.noise.mixing import add_noise
from tasks.evaluate.noise.pool import babble_pool
from tasks.evaluate.non_speech import measure_non_speech
from tasks.evaluate.short_form import evaluation_settings
from tasks.normalise.schema import NORMALISED
from tasks.text.comparison import normaliser
from tasks.whisper.engine import AudioWindow
from tasks.whisper.engines import whisper_engine
from tasks.whisper.model import load_whisper
from tasks.whisper.streaming import Utterance, decode_utterances
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine
from tests.real.findings import Findings
from tests.real.results import word_errors
from tests.real.speech import Speech

pytestmark = pytest.mark.real

KINDS: Final = ("white", "babble", "recorded")
CORPUS: Final = "librispeech"
_EVERY: Final = 8
"""Utterances of the archive; all of its speakers are among them."""
_NUM_TRANSCRIBED: Final = 6
_MAX_TRANSCRIBED_S: Final = 12.0
_FEW_RATIOS: Final = (40, -10)


@pytest.fixture(scope="module")
def noise(speech: Speech) -> Noise:
    return Noise(folders={"recorded": str(speech.folder / "noise")})


@pytest.fixture(scope="module")
def shard(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, FileRef]:
    """A normalised shard with every eighth utterance of test-clean."""
    folder = tmp_path_factory.mktemp("noise")
    rows = list(_rows(speech.folder / "librispeech" / "test-clean.tar.gz"))[::_EVERY]
    path = folder / "00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=NORMALISED), path, row_group_size=16)
    size_bytes = path.stat().st_size
    return Store(str(folder)), FileRef(
        path=path.name, sha256=hash_file(path), size_bytes=size_bytes
    )


def _rows(archive: Path) -> Iterator[dict[str, Any]]:
    audio, texts = dict[str, bytes](), dict[str, str]()
    with tarfile.open(archive) as members:
        for member in members:
            if (content := members.extractfile(member)) is None:
                continue
            if member.name.endswith(".flac"):
                audio[Path(member.name).stem] = content.read()
            elif member.name.endswith(".trans.txt"):
                texts.update(line.split(" ", 1) for line in content.read().decode().splitlines())
    for name, data in sorted(audio.items()):
        speaker, chapter, _ = name.split("-")
        yield {
            "id": name,
            "corpus": CORPUS,
            "split": "test-clean",
            "recording_id": f"{speaker}-{chapter}",
            "speaker_id": speaker,
            "start_s": 0.0,
            "duration_s": len(decode_flac(data)) / SAMPLE_RATE_HZ,
            "audio": {"bytes": data, "path": f"{name}.flac"},
            "raw_text": texts[name],
        }


@pytest.fixture(scope="module")
def utterances(shard: tuple[Store, FileRef]) -> Sequence[Utterance]:
    store, file = shard
    with store.fetch(file) as path:
        decoded = list(decode_utterances(pq.read_table(path).to_batches(), num_threads=1))
    return [one for one in decoded if not isinstance(one, Rejected)]


Mixed = Callable[[str, Sequence[Utterance]], Mapping[int, Sequence[Samples]]]


@pytest.fixture(scope="module")
def mixed(shard: tuple[Store, FileRef], noise: Noise) -> Mixed:
    """Utterances with a kind of noise at each ratio; each ratio must be the one asked for."""
    store, file = shard
    pool = babble_pool(store, [file], noise)

    def mix(kind: str, utterances: Sequence[Utterance]) -> Mapping[int, Sequence[Samples]]:
        added = AddedNoise(kind=kind, snr_db=0)
        source = source_of(added, noise, corpus=CORPUS, pool=pool)
        noises = [source.noise_for(one) for one in utterances]
        found = {}
        for snr_db in noise.snr_db:
            pairs = zip(utterances, noises, strict=True)
            mixtures = [add_noise(one.samples, of_it, snr_db) for one, of_it in pairs]
            for mixture in mixtures:
                assert mixture.snr_db == pytest.approx(snr_db, abs=0.1)
            found[snr_db] = [mixture.samples for mixture in mixtures]
        return found

    return mix


@pytest.fixture(scope="module")
def engine(teacher: Callable[[str], Path]) -> WhisperEngine:
    settings = Teacher(path=str(teacher("tiny.en")))
    return whisper_engine(load_whisper(settings, "float32", "cpu"), batch_size=16)


@pytest.fixture(scope="module")
def label(teacher: Callable[[str], Path]) -> Label:
    return Label(teacher=Teacher(path=str(teacher("tiny.en"))))


@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_measured_back_is_that_which_was_asked_for(
    kind: str, mixed: Mixed, utterances: Sequence[Utterance]
) -> None:
    assert len({one.speaker_id for one in utterances}) == 8
    assert list(mixed(kind, utterances)) == list(range(40, -15, -5))


def test_the_recorded_noise_is_usable(noise: Noise) -> None:
    check_noise_folders(noise)


@pytest.mark.parametrize("kind", KINDS)
def test_more_noise_gives_more_errors(
    kind: str,
    mixed: Mixed,
    utterances: Sequence[Utterance],
    engine: WhisperEngine,
    label: Label,
    speech: Speech,
    findings: Findings,
) -> None:
    few = [one for one in utterances if one.num_samples < _MAX_TRANSCRIBED_S * SAMPLE_RATE_HZ]
    few = few if speech.is_full else few[:: len(few) // _NUM_TRANSCRIBED]
    mixtures = mixed(kind, few)
    ratios = tuple(mixtures) if speech.is_full else _FEW_RATIOS
    curve = [_wer_percent(engine, label, few, mixtures[snr_db]) for snr_db in ratios]
    figures = ", ".join(f"{at} dB {found:.1f} %" for at, found in zip(ratios, curve, strict=True))
    findings.lines.append(f"test-clean, {len(few)} utterances, tiny.en, {kind} noise: {figures}")
    assert curve[0] < curve[-1]
    assert curve[-1] - curve[0] > 20


def _wer_percent(
    engine: WhisperEngine, label: Label, utterances: Sequence[Utterance], mixed: Sequence[Samples]
) -> float:
    normalise = normaliser("english")
    pairs = zip(utterances, mixed, strict=True)
    stream = ((one.raw_text, AudioWindow(one.id, samples)) for one, samples in pairs)
    transcribed = [
        (normalise(item[0]), normalise(item[1].text))
        for item in transcribe_all(engine, stream, evaluation_settings(label))
        if not isinstance(item, Rejected)
    ]
    references, hypotheses = zip(*transcribed, strict=True)
    found = word_errors(references, hypotheses).wer_percent
    assert found is not None
    return found


def test_words_without_speech_are_counted(
    engine: WhisperEngine, label: Label, noise: Noise, speech: Speech, findings: Findings
) -> None:
    kinds = noise if speech.is_full else None
    found = measure_non_speech({"tiny.en": engine}, kinds, label, normaliser("english"))
    for one in found:
        findings.lines.append(
            f"{one.kind}, {one.num_windows} windows, {one.model}: words in"
            f" {one.num_windows_with_words}, {one.num_words} words"
        )
    assert found[0].kind == "silence"
    assert all(one.num_words >= one.num_windows_with_words for one in found)
