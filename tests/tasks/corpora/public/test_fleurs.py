"""FLEURS as on the Hub, with one line per edge case."""

from collections.abc import Callable
from pathlib import Path

from storage.outcome import quarantined
from tasks.audio import decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.fleurs import FLEURS
from tasks.download.files import RawFiles
from tests.builders import encoded, noise, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]

NUM_SAMPLES = 5_000
WAVES = [encoded(noise(NUM_SAMPLES, seed=seed) / 32_768, "WAV", "FLOAT") for seed in range(3)]


def line(sentence: int, file: str, raw: str, text: str) -> str:
    characters = " ".join("|".join(text.split())) + " |"
    fields = [str(sentence), file, raw, text, characters, str(NUM_SAMPLES), "FEMALE"]
    return "\t".join(fields) + "\n"


SAID = 'He said: "It is 4.5 km."'
DEV = [
    line(1606, "1000.wav", SAID, "he said it is 4.5 km"),
    line(1606, "2000.wav", SAID, "he said it is 4.5 km"),
    line(1607, "3000.wav", "Nobody kept it.", "nobody kept it"),
    "1608\t4000.wav\ttoo few\n",
]
TEST = [line(1700, "1000.wav", "Don't be late.", "don't be late")]
FILES = {
    "data/en_us/dev.tsv": "".join(DEV).encode(),
    "data/en_us/test.tsv": "".join(TEST).encode(),
    "data/en_us/train.tsv": b"not for evaluation",
    "data/en_us/audio/dev.tar.gz": tar_gz({"dev/1000.wav": WAVES[0], "dev/2000.wav": WAVES[1]}),
    "data/en_us/audio/test.tar.gz": tar_gz({"test/1000.wav": WAVES[2]}),
    "data/en_us/audio/train.tar.gz": b"not for evaluation",
    "data/de_de/test.tsv": b"another language",
}


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.recording_id, item.speaker_id, item.raw_text


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(FLEURS, FILES)
    assert list(map(in_brief, items)) == [
        ("validation", "1000", "1000", None, SAID),
        ("validation", "2000", "2000", None, SAID),
        ("validation", quarantined("3000", "no_audio", "dev/3000.wav")),
        ("validation", quarantined("dev:4", "malformed_line", DEV[3].strip())),
        ("test", "1000", "1000", None, "Don't be late."),
    ]
    audio = [raw.audio(item.audio) for item in items if isinstance(item, Segment)]
    assert audio == WAVES
    assert decode(audio[0]).duration_s == NUM_SAMPLES / 16_000


def test_lhotse_reads_the_same(read_corpus: ReadCorpus, tmp_path: Path) -> None:
    """lhotse adds sentence and turn to the id, and uses the turn as speaker."""
    from lhotse.recipes.fleurs import prepare_single_fleurs_language

    items, _ = read_corpus(FLEURS, FILES)
    root, tables = tmp_path / "lhotse" / "en_us", tmp_path / "lhotse" / "metadata" / "en_us"
    tables.mkdir(parents=True)
    for split, text in (("dev", DEV[:2]), ("test", TEST), ("train", TEST)):
        (tables / f"{split}.tsv").write_text("".join(text))
        (root / split).mkdir(parents=True)
        for stem in ("1000", "2000")[: len(text)]:
            (root / split / f"{stem}.wav").write_bytes(WAVES[0])
    manifests = prepare_single_fleurs_language(root)
    for name, split in (("dev", "validation"), ("test", "test")):
        supervisions = manifests[name]["supervisions"]
        assert {(s.recording_id, s.start, s.custom["raw_text"]) for s in supervisions} == {
            (s.id, s.start_s, s.raw_text)
            for s in items
            if isinstance(s, Segment) and s.split == split
        }
