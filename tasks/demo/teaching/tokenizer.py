"""The tokenizer of the demo teacher: a small byte-level BPE with the layout of Whisper's."""

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import WhisperTokenizer

NUM_TEXT_TOKENS = 416
# WhisperTokenizer computes the id of a language from its position in Whisper's list, of which these
# are the first four.
LANGUAGES = ("en", "zh", "de", "es")
TIMESTAMP_STEP_S = 0.02

END = "<|endoftext|>"
START = "<|startoftranscript|>"
TRANSLATE = "<|translate|>"
TRANSCRIBE = "<|transcribe|>"
START_OF_LM = "<|startoflm|>"
START_OF_PREVIOUS = "<|startofprev|>"
NO_SPEECH = "<|nospeech|>"
NO_TIMESTAMPS = "<|notimestamps|>"
# A space in the byte-level alphabet.
SPACE = "Ġ"


def special_tokens() -> tuple[str, ...]:
    """The special tokens in order of their ids, which follow the text tokens."""
    languages = tuple(f"<|{language}|>" for language in LANGUAGES)
    tasks = (TRANSLATE, TRANSCRIBE)
    return (
        END,
        START,
        *languages,
        *tasks,
        START_OF_LM,
        START_OF_PREVIOUS,
        NO_SPEECH,
        NO_TIMESTAMPS,
    )


def timestamp_token(time_s: float) -> str:
    """The timestamp token of a time in a window, rounded to 0.02 s."""
    return f"<|{round(time_s / TIMESTAMP_STEP_S) * TIMESTAMP_STEP_S:.2f}|>"


def token_id(tokenizer: WhisperTokenizer, token: str) -> int:
    """The id of one token.

    Raises `KeyError` if it is not in the vocabulary, instead of returning the unknown token.
    """
    found = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(found, int) or tokenizer.convert_ids_to_tokens(found) != token:
        raise KeyError(f"the tokenizer has no token {token!r}, only {len(tokenizer)} others")
    return found


def build_tokenizer(sentences: Iterable[str], window_s: float) -> WhisperTokenizer:
    """Train the merges on `sentences`, and add special tokens and timestamps.

    The timestamps range from 0.00 to `window_s` seconds. Ids: text tokens, special tokens,
    timestamps. As in Whisper, words include their leading space, so transcripts are tokenized with
    a leading space.
    """
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NUM_TEXT_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator((f" {sentence}" for sentence in sentences), trainer)
    trained = json.loads(bpe.to_str())["model"]
    tokenizer = WhisperTokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        unk_token=END,
        bos_token=END,
        eos_token=END,
        pad_token=END,
    )
    tokenizer.add_special_tokens({"extra_special_tokens": list(special_tokens()[1:])})
    num_steps = round(window_s / TIMESTAMP_STEP_S)
    times = [timestamp_token(step * TIMESTAMP_STEP_S) for step in range(num_steps + 1)]
    # As in the released models, timestamps are not special tokens: `skip_special_tokens` has a
    # separate rule for them.
    tokenizer.add_tokens([AddedToken(time, normalized=False, special=False) for time in times])
    tokenizer.set_prefix_tokens(language="en", task="transcribe", predict_timestamps=False)
    return tokenizer
