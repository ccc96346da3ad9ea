"""Speculative decoding of real utterances: the teacher with a draft, and the teacher alone.

    python -m benchmarks.speculative --teacher FOLDER --draft FOLDER --audio TABLE.jsonl
    python -m benchmarks.speculative [...] --utterances 1000 --identity

Each utterance is a window of its own. Both alternate, at each batch size; the draft is as long as
the engine finds best, or always `--drafted` tokens. `ceiling` estimates the highest speed by
counting bytes: a step takes as long as its weights and cross-attention states take to read, and
everything else (features, encoder, prefill) as long as it takes the teacher alone.

With `--identity` nothing is timed: each utterance is encoded once, and the tokens with a draft,
greedy and with fallback, at all batch sizes, are compared to those of the teacher alone at the
largest batch.

Uses neither Prefect nor the network.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.label.audio import read_speech
from benchmarks.label.contender import prepared
from configs.schema import Label, Teacher
from tasks.audio import SAMPLE_RATE_HZ
from tasks.evaluate.engine import encodings_of
from tasks.evaluate.findings import SpeculativeResult
from tasks.evaluate.short_form import evaluation_settings
from tasks.evaluate.speculative import measure_speculative, tokens_of
from tasks.evaluate.timing import alternate
from tasks.whisper.decoding.acceptance import MAX_DRAFTED
from tasks.whisper.decoding.attention import prefers_absorbed
from tasks.whisper.decoding.layers import NUM_FREQUENT
from tasks.whisper.decoding.speculation import draft_dtype
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.engine import AudioWindow
from tasks.whisper.model import LoadedWhisper, load_whisper
from tasks.whisper.parallel import num_schedulers
from tasks.whisper.whisper import WhisperEngine

_MAX_MEAN_S: Final = 16.0
"""More than the mean utterance of any corpus lasts."""
_MIN_AVG_LOGPROB: Final = -0.25
"""So high that many utterances are sampled again."""
_CACHE_GB: Final = 16.0
NUM_COMPARED: Final = 4
"""Tokens drafted in every step where tokens are compared, unless another number is given."""

_SETTINGS: Final = Label(teacher=Teacher(path="."), min_avg_logprob=_MIN_AVG_LOGPROB)

Row = dict[str, Any]


def ceiling(result: SpeculativeResult, decoder_share: float, draft_share: float) -> float:
    """About the highest speed, relative to the teacher alone, with the acceptance of `result`.

    Decoding after the first token takes `decoder_share` of the teacher's time, and a step of the
    draft `draft_share` of the time of the teacher's, which is as long with drafted tokens as
    without. With n drafted tokens a step takes 1 + n * `draft_share` plain ones (Leviathan et al.,
    "Fast inference from transformers via speculative decoding", 2023, section 3.3) and gains
    (1 - a^(n+1)) / (1 - a) tokens (section 3.1). Of all n up to `MAX_DRAFTED` the best counts.

    As in the paper, every token has the same probability a of being accepted, which here explains
    the tokens per round. Where it varies, a step that is longer than those of `result` may gain
    more; drafts that run past the end of a window make a too low.
    """
    acceptance = _acceptance(result.drafted_per_round, result.tokens_per_round)
    step = min(
        (1 + drafted * draft_share) / _expected_tokens(acceptance, drafted)
        for drafted in range(MAX_DRAFTED + 1)
    )
    return 1 / (1 - decoder_share * (1 - step))


def _expected_tokens(acceptance: float, drafted: float) -> float:
    """The tokens that a step gains in the mean, at an acceptance below 1."""
    return (1 - float(acceptance ** (drafted + 1))) / (1 - acceptance)


def _acceptance(drafted: float, tokens: float) -> float:
    """The acceptance, below 1, at which a step with so many drafted tokens gains `tokens`."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _expected_tokens(middle, drafted) < tokens else (low, middle)
    return low


def step_bytes(model: LoadedWhisper, num_rows: int, *, is_draft: bool) -> int:
    """The bytes that a decoding step of so many windows must read on a CPU.

    They are weights and cross-attention states; keys and values of the text are few beside these.
    """
    config, device = model.model.config, model.model.device
    width, num_layers = config.d_model, config.decoder_layers
    num_heads, num_frames = config.decoder_attention_heads, config.max_source_positions
    is_absorbed = prefers_absorbed(device, num_heads, num_frames)
    # keys and values of the audio are projected once per window, unless they are absorbed into
    # queries and output, which then have the full width in each head
    cross_maps = 2 * num_heads if is_absorbed else 2
    layer = (4 + cross_maps) * width**2 + 2 * width * config.decoder_ffn_dim
    # all layers share the absorbed state: the encoder output
    cross = (1 if is_absorbed else 2 * num_layers) * num_frames * width
    num_logits, dtype = config.vocab_size, model.model.dtype
    if is_draft:
        num_special = num_logits - model.model.generation_config.eos_token_id
        num_logits = min(num_logits, NUM_FREQUENT + num_special)
        dtype = draft_dtype(dtype, device)
    numbers = num_layers * layer + num_rows * cross + num_logits * width
    return int(numbers * dtype.itemsize)


def decoder_share(
    teacher: LoadedWhisper, windows: Sequence[AudioWindow], batch_size: int, num_rounds: int
) -> float:
    """The share of the teacher's time that decoding takes after the first token.

    The same windows are timed up to their first token. The engine takes one step before it finds
    that they have ended, so the difference is that of all its steps but one.
    """
    engine, whole = WhisperEngine(teacher, batch_size), evaluation_settings(_SETTINGS)
    first = whole.model_copy(update={"max_new_tokens": 1})
    work = {
        name: partial(tokens_of, engine, windows, settings)
        for name, settings in (("whole", whole), ("first", first))
    }
    # this warms up, too
    num_tokens = {name: sum(map(len, one().values())) for name, one in work.items()}
    rounds = alternate(work, num_rounds)
    num_steps = num_tokens["whole"] - num_tokens["first"]
    timed_share = 1 - rounds.median_s("first") / rounds.median_s("whole")
    return timed_share * num_steps / max(1, num_steps - len(windows))


def timed(
    teacher: LoadedWhisper,
    draft: LoadedWhisper,
    windows: Sequence[AudioWindow],
    options: argparse.Namespace,
) -> Iterator[Row]:
    """Measure the speed at each batch size, and estimate its ceiling."""
    for batch_size in options.batch_sizes:
        share = decoder_share(teacher, windows, batch_size, options.rounds)
        num_rows = batch_size // num_schedulers(batch_size, teacher.model.device)
        read_by_draft = step_bytes(draft, num_rows, is_draft=True)
        draft_share = read_by_draft / step_bytes(teacher, num_rows, is_draft=False)
        [result] = measure_speculative(
            teacher,
            draft,
            [one.samples for one in windows],
            evaluation_settings(_SETTINGS),
            batch_sizes=[batch_size],
            num_rounds=options.rounds,
            num_drafted=options.drafted,
        )
        yield {
            **result.model_dump(),
            "decoder_share": share,
            "draft_share": draft_share,
            "ceiling": ceiling(result, share, draft_share),
        }


def compared(
    teacher: LoadedWhisper,
    drafts: Mapping[str, LoadedWhisper],
    windows: Sequence[AudioWindow],
    batch_sizes: Sequence[int],
    cache: OutputCache,
    num_drafted: int = NUM_COMPARED,
) -> Iterator[Row]:
    """Count the utterances with the teacher's tokens, for each draft at each batch size.

    Greedy, then with fallback. `cache` keeps the output of the teacher's encoder; a draft with
    another one encodes anew.
    """
    for fallback in (False, True):
        settings = _SETTINGS if fallback else evaluation_settings(_SETTINGS)
        alone = WhisperEngine(teacher, max(batch_sizes), encoder_cache=cache)
        expected = tokens_of(alone, windows, settings)
        for (name, draft), batch_size in product(drafts.items(), batch_sizes):
            drafted = WhisperEngine(
                teacher, batch_size, draft, encoder_cache=cache, num_drafted=num_drafted
            )
            found = tokens_of(drafted, windows, settings)
            counts = drafted.draft_counts
            yield {
                "draft": name,
                "batch_size": batch_size,
                "fallback": fallback,
                "num_utterances": len(windows),
                "num_identical": sum(expected[one.id] == found[one.id] for one in windows),
                "acceptance_percent": counts.acceptance_percent,
                "tokens_per_round": counts.tokens_per_round,
            }


def _utterances(audio: Path, number: int, window_samples: int, scratch: Path) -> list[AudioWindow]:
    window_s = window_samples / SAMPLE_RATE_HZ
    speech = read_speech(scratch / "speech.parquet", audio, number * _MAX_MEAN_S, window_s)
    return [one.audio for one in prepared(speech, window_samples, "none")][:number]


def _line(row: Row) -> str:
    kind = "fallback" if row["fallback"] else "greedy"
    line = (
        f"batch {row['batch_size']:>2}, {kind:<8}: {row['num_identical']:,} of"
        f" {row['num_utterances']:,} identical, {row['acceptance_percent']:.1f} % accepted,"
        f" {row['tokens_per_round']:.2f} tokens per round"
    )
    if "ceiling" not in row:
        return line
    low, high = row["relative_speed_range"]
    return (
        f"{line}, {row['relative_speed']:.3f} times as fast ({low:.3f} to {high:.3f}), ceiling"
        f" {row['ceiling']:.3f}; the decoder takes {row['decoder_share']:.0%} of the time, a step"
        f" of the draft reads {row['draft_share']:.0%} of the bytes"
    )


def main(arguments: list[str]) -> None:
    """Measure and print, a line or a JSON object for each batch size."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speculative",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--teacher", required=True, help="folder in Hugging Face format")
    parser.add_argument("--draft", required=True, help="folder of a student of it")
    parser.add_argument("--audio", type=Path, required=True, help="as of benchmarks.label")
    parser.add_argument("--utterances", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--drafted", type=int, help="tokens; default: as the engine finds, 4 with --identity"
    )
    parser.add_argument("--batch-sizes", type=_numbers, default=[1, 4, 16])
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--identity", action="store_true", help="compare tokens, without timing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    teacher, draft = (
        load_whisper(Teacher(path=path), options.dtype, "cpu")
        for path in (options.teacher, options.draft)
    )
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        windows = _utterances(options.audio, options.utterances, teacher.window_samples, scratch)
        if options.identity:
            cache = encodings_of(teacher, scratch, _CACHE_GB)
            sizes = options.batch_sizes
            num_drafted = NUM_COMPARED if options.drafted is None else options.drafted
            rows = compared(teacher, {options.draft: draft}, windows, sizes, cache, num_drafted)
        else:
            rows = timed(teacher, draft, windows, options)
        for row in rows:
            sys.stdout.write((json.dumps(row) if options.json else _line(row)) + "\n")
            sys.stdout.flush()


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    main(sys.argv[1:])
