"""SPGISpeech as on the Hub, with one line per edge case."""

from collections.abc import Callable
from pathlib import Path

from storage.outcome import quarantined
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.spgispeech import SPGISPEECH
from tasks.download.files import RawFiles
from tests.builders import encoded, noise, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]

CALL, OTHER = "13aa6c0669adb5544a0d62beef677189", "07a785e9237c389c1354bb60abca42d5"
WAVES = [encoded(noise(5_000 + seed, seed=seed), "WAV", "PCM_16") for seed in range(3)]
HEADER = "wav_filename|wav_filesize|transcript"
DEV = [
    f'{CALL}/12.wav|10044|Daniel, how do we think about "the" 4.5%?',
    f"{CALL}/29.wav|10046|",
    f"{CALL}/99.wav|10046|a slice that is in no archive",
    f"{CALL}/30.wav|10046",
]
TEST = [f"{OTHER}/1.wav|10048|rather than something -- we are more concerned by."]


def table(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


FILES = {
    "data/meta/dev.csv": table(*DEV),
    "data/meta/test.csv": table(*TEST),
    "data/meta/train.csv": b"not for evaluation",
    "data/audio/dev/dev_part_0.tar.gz": tar_gz({f"./{CALL}/12.wav": WAVES[0]}),
    "data/audio/dev/dev_part_1.tar.gz": tar_gz({f"dev_part_1/{CALL}/29.wav": WAVES[1]}),
    "data/audio/test/test_part_0.tar.gz": tar_gz({f"{OTHER}/1.wav": WAVES[2]}),
    "data/audio/s/s_part_0.tar.gz": b"not for evaluation",
}


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.recording_id, item.speaker_id, item.raw_text


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(SPGISPEECH, FILES)
    transcript = 'Daniel, how do we think about "the" 4.5%?'
    assert list(map(in_brief, items)) == [
        ("validation", f"{CALL}_12", CALL, None, transcript),
        ("validation", f"{CALL}_29", CALL, None, ""),
        ("validation", quarantined(f"{CALL}_99", "no_audio", f"{CALL}/99.wav")),
        ("validation", quarantined("dev:5", "malformed_line", DEV[3])),
        (
            "test",
            f"{OTHER}_1",
            OTHER,
            None,
            "rather than something -- we are more concerned by.",
        ),
    ]
    assert [raw.audio(item.audio) for item in items if isinstance(item, Segment)] == WAVES


def test_lhotse_reads_the_same(read_corpus: ReadCorpus, tmp_path: Path) -> None:
    """lhotse reads Kensho's own layout, and uses the call as speaker."""
    from lhotse.recipes.spgispeech import prepare_spgispeech

    items, _ = read_corpus(SPGISPEECH, FILES)
    root = tmp_path / "kensho"
    for name, sound in ((f"{CALL}/12.wav", WAVES[0]), (f"{CALL}/29.wav", WAVES[1])):
        path = root / "spgispeech" / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)
    (root / "val.csv").write_bytes(table(*DEV[:2]))
    (root / "train.csv").write_bytes(table())
    manifests = prepare_spgispeech(root, tmp_path / "manifests", normalize_text=False)
    assert {(s.id, s.start, s.text) for s in manifests["val"]["supervisions"]} == {
        (s.id, s.start_s, s.raw_text)
        for s in items
        if isinstance(s, Segment) and s.split == "validation"
    }
