"""The smallest files of each built-in corpus, without audio: what its parser reads."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpora.base import Corpus
from tasks.corpora.registry import corpus_named

SOUND = {"bytes": b"fLaC", "path": "x.flac"}
NITE = '<nite:root xmlns:nite="http://nite.sourceforge.net/">'


@dataclass(frozen=True)
class Source:
    """A corpus, its annotations by path, and the paths of its audio."""

    corpus: Corpus
    annotations: Mapping[str, bytes]
    audio: tuple[str, ...] = field(default=())


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, compression="none", row_group_size=2)
    return file.getvalue()


def xml(*elements: str) -> bytes:
    head = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>'
    return "\n".join((head, NITE, *elements, "</nite:root>", "")).encode("latin-1")


def gigaspeech() -> dict[str, bytes]:
    segments = [
        {
            "sid": f"POD0000000999_S000000{number}",
            "speaker": "N/A",
            "begin_time": number,
            "end_time": number + 1.5,
            "text_raw": "",
            "text_tn": text_tn,
            "subsets": ["{XL}", subset],
        }
        for number, (text_tn, subset) in enumerate(
            [("WELL <COMMA> NEW <PERIOD>", "{L}"), ("<SIL>", "{DEV}"), ("IT IS", "{TEST}")]
        )
    ]
    audios = [{"aid": "POD0000000999", "duration": 12.5, "segments": segments}]
    return {"GigaSpeech.json": json.dumps({"dataset": "GigaSpeech", "audios": audios}).encode()}


def ami() -> dict[str, bytes]:
    key = "ES2002a.A"
    hrefs = (
        f"{key}.words.xml#id({key}.words0)..id({key}.words2)",
        f"{key}.words.xml#id({key}.words2)",
    )
    return {
        "corpusResources/meetings.xml": xml(
            '<meeting observation="ES2002a">',
            '<speaker nxt_agent="A" global_name="MEE001" channel="0"/>',
            "</meeting>",
        ),
        f"words/{key}.words.xml": xml(
            f'<w nite:id="{key}.words0" starttime="0.5" endtime="0.9">Hi</w>',
            f'<w nite:id="{key}.words1" starttime="0.9" endtime="0.9" punc="true">,</w>',
            f'<w nite:id="{key}.words2" trunc="true">Ren\xe9 L_C_D_</w>',
        ),
        f"segments/{key}.segments.xml": xml(
            *(
                f'<segment channel="0" transcriber_start="{start}" transcriber_end="{start + 2}">'
                f'<nite:child href="{href}"/></segment>'
                for start, href in enumerate(hrefs)
            )
        ),
    }


def voxpopuli() -> bytes:
    names = "id_|paragraph_id|session_id|speaker_id|original_text|normed_text|vad|split|gender"
    return text(
        names,
        "en_1|7|20190114-0900|28299|Thank you.|thank you|[(0.5, 2.0)]|train|female",
        "en_2|7|20190114-0900|None||thank you|[(2.5, 3.0), (3.5, 4e1)]|dev|female",
        "en_3|7|20190114-0900|28299|So.|so|[[41, 42]]|invalid|male",
    )


STM = text(
    ";; comment",
    "Talk_2000 1 Talk_2000 0.5 2.00 <o,f0,male> so it 's the first <unk> we built",
    "Talk_2000 1 Talk_2000 2.00 3.00 <NA> ignore_time_segment_in_scoring",
    "Talk_2000 1 Talk_2000 3.00 4.5 <o,f0,male> ' cause {NOISE} for(2) (Talk-12)",
)
TALKS = tuple(
    f"TEDLIUM_release-3/{part}/sph/Talk_2000.sph" for part in ("data", "legacy/dev", "legacy/test")
)
STMS = {name.replace("sph", "stm"): STM for name in TALKS}
FISHER = text(
    "# fe_03_00000.sph",
    "",
    "7.38 9.10 A: well i- i guess so [laughter]",
    "8.95 9.60 B: (( mhm )) c._n._n.",
    "9.70 9.90 B: [[skip]] <german ja >",
)
CALLS = text(
    "CALL_ID,DATE_TIME,TOPICID,APIN,ASX.DL,BPIN,BSX.DL",
    "00000,20021209 23:23:41,ENG01,2602,f.a,1790,m.o",
)
SWITCHBOARD = text(
    "sw9001A-ms98-a-0001 0.000000 0.977625 [silence]",
    "sw9001A-ms98-a-0002 0.977625 4.561375 [laughter-yeah] it's th[at]- [it'n/isn't] them_1",
    "sw9001A-ms98-a-0003 4.561375 5.000000 {yuppiedom} -[th]at",
)
HUB5 = text(
    ';; LABEL "en" "CallHome" ""',
    "sw_0001 A sw_0001_A 0.00 0.50 <O,sw,M,sw-M>  IGNORE_TIME_SEGMENT_IN_SCORING",
    "sw_0001 A sw_0001_A 0.50 2.00 <O,sw,M,sw-M>  YES (%HESITATION) I (TH-) KNOW",
    'en_0001 B en_0001_B1 2.50 4.00  { GONNA / GOING TO } <contraction e_form="[a]">GO',
)
CLIPS = [f"common_voice_en_{number}" for number in range(8)]


def clips(*lines: int) -> bytes:
    rows = [f'9f3c\t{CLIPS[n]}.mp3\tThe ""Ferry"" \\"leaves.\t2\t0' for n in lines]
    return text("client_id\tpath\tsentence\tup_votes\tdown_votes", *rows)


def lines(*rows: dict[str, Any]) -> bytes:
    return text(*map(json.dumps, rows))


def hub_rows(*names: str, **values: object) -> list[dict[str, Any]]:
    texts = [{name: f"{name}/{row}" for name in names} for row in range(3)]
    return [{**row, **values, "audio": SOUND} for row in texts]


SOURCES = {
    "peoples_speech hub": Source(
        corpus_named("peoples_speech", "hub"),
        {"clean/train-00000-of-00001.parquet": parquet(hub_rows("id", "text", duration_ms=1500))},
    ),
    "peoples_speech release": Source(
        corpus_named("peoples_speech", "release"),
        {
            "train/clean.json": lines(
                {
                    "identifier": "gov",
                    "training_data": {
                        "duration_ms": [14920, 12310],
                        "label": ["we will now hear", "thank you"],
                        "name": ["gov/1.flac", "./gov/2.flac"],
                    },
                }
            )
        },
        ("train/clean/gov/1.flac", "train/clean/gov/2.flac"),
    ),
    "gigaspeech hub": Source(
        corpus_named("gigaspeech", "hub"),
        {
            "l/train-00000-of-00001.parquet": parquet(
                hub_rows("segment_id", "speaker", "text", "audio_id", begin_time=1.0, end_time=2.5)
            )
        },
    ),
    "gigaspeech release": Source(
        corpus_named("gigaspeech", "release"), gigaspeech(), ("audio/POD0000000999.opus",)
    ),
    "common_voice": Source(
        corpus_named("common_voice"),
        {
            "cv/en/train.tsv": clips(0, 1),
            "cv/en/dev.tsv": clips(2, 1),
            "cv/en/test.tsv": clips(3, 7),
            "cv/en/validated.tsv": clips(0, 1, 4, 5),
        },
        tuple(f"cv/en/clips/{clip}.mp3" for clip in CLIPS[:6]),
    ),
    "librispeech": Source(
        corpus_named("librispeech"),
        {
            "LibriSpeech/dev-clean/1/2/1-2.trans.txt": text(
                "1-2-0000 IT'S A FERRY", "1-2-0001 A LAMP", "1-2-0002 NO FILE"
            )
        },
        tuple(f"LibriSpeech/dev-clean/1/2/1-2-000{number}.flac" for number in range(2)),
    ),
    "voxpopuli": Source(
        corpus_named("voxpopuli"),
        {"asr_en.tsv": voxpopuli()},
        ("original/2019/20190114-0900_original.ogg",),
    ),
    "tedlium": Source(corpus_named("tedlium"), STMS, TALKS),
    "tedlium_long_form": Source(corpus_named("tedlium_long_form"), STMS, TALKS),
    "fisher": Source(
        corpus_named("fisher"),
        {"p1/trans/000/fe_03_00000.txt": FISHER, "p1/doc/fe_03_p1_calldata.tbl": CALLS},
        ("p1/audio/000/fe_03_00000.sph",),
    ),
    "switchboard": Source(
        corpus_named("switchboard"),
        {
            "swb/90/9001/sw9001A-ms98-a-trans.text": SWITCHBOARD,
            "docs/conv.tab": text('9001,Y,"1001",1002,303,0,910304,1218,1222, ,'),
        },
        ("swb1_d1/data/sw09001.sph",),
    ),
    "hub5_2000": Source(
        corpus_named("hub5_2000"),
        {"reference/hub5e00.english.000405.stm": HUB5},
        ("english/sw_0001.sph", "english/EN_0001.SPH"),
    ),
    "ami release": Source(
        corpus_named("ami", "release"),
        ami(),
        ("ES2002a/audio/ES2002a.Headset-0.wav", "ES2002a/audio/ES2002a.Array1-01.wav"),
    ),
    "ami hub": Source(
        corpus_named("ami", "hub"),
        {
            "ihm/train-00000-of-00001.parquet": parquet(
                hub_rows("meeting_id", "audio_id", "text", "speaker_id")
            )
        },
    ),
    "earnings22": Source(
        corpus_named("earnings22"),
        {
            "earnings22/transcripts/nlp_references/1.nlp": text(
                "token|speaker|ts|endTs|punctuation|case|tags",
                "Good|0||||UC|[]",
                "morning|0|||.|LC|[]",
                "<laugh>|0|||,|LC|[]",
            )
        },
        ("earnings22/media/1.mp3",),
    ),
    "spgispeech": Source(
        corpus_named("spgispeech"),
        {
            "data/meta/dev.csv": text(
                "wav_filename|wav_filesize|transcript",
                "c1/1.wav|5|Revenue grew 4.5%,",
                "c1/2.wav|5|",
            )
        },
        ("val/c1/1.wav", "val/c1/2.wav"),
    ),
    "fleurs": Source(
        corpus_named("fleurs"),
        {
            "data/en_us/dev.tsv": text(
                "1\t1.wav\tHe said.\the said\th e\t16000\tMALE", "1\t2.wav\tNo.\tno\tn o\t1\tFEMALE"
            )
        },
        ("dev/1.wav", "dev/2.wav"),
    ),
}
"""By name: each corpus of the registry in each form."""
