"""The training examples of a manifest, with corpora drawn by their weights."""

from collections import Counter
from collections.abc import Sequence

from configs.schema import Distil
from storage.manifest import ManifestEntry
from tasks.reading.examples import ExampleSource
from tasks.reading.mixture import mixture_by_corpus
from tasks.reading.partition import ALONE
from tasks.reading.reader import NUM_BUFFERED, NUM_OPEN, ManifestReader
from tasks.reading.shard_reader import Fetch
from tasks.whisper.tokens import SpecialTokens


def training_examples(
    settings: Distil, entries: Sequence[ManifestEntry], fetch: Fetch, special: SpecialTokens
) -> ExampleSource:
    """The endless source of examples: epoch after epoch, or a mixture where corpora have weights.

    In the mixture each example is of a corpus drawn at random, by its number of windows times its
    weight, and each corpus goes through its windows epoch after epoch. A window of weight 2 is seen
    twice as often as one of weight 1, at other places and with other random choices, which a loss
    of twice the weight would not give; and the size of a batch stays what it is. Raises
    `UserError` if there is no window.
    """
    shards = [entry for entry in entries if entry.num_windows]

    def reader(some: Sequence[ManifestEntry], part: float) -> ExampleSource:
        return ManifestReader(
            some,
            fetch,
            special,
            seed=settings.seed,
            timestamp_probability=settings.timestamp_probability,
            previous_text_probability=settings.previous_text_probability,
            num_open=max(1, round(part * NUM_OPEN)),
            num_buffered=max(1, round(part * NUM_BUFFERED)),
        )

    if not settings.corpus_weights or not shards:
        return reader(shards, 1.0)
    num_windows = Counter[str]()
    for shard in shards:
        num_windows[shard.corpus] += shard.num_windows
    weights = {
        corpus: number * settings.corpus_weights.get(corpus, 1.0)
        for corpus, number in sorted(num_windows.items())
    }
    return mixture_by_corpus(shards, weights, reader, seed=settings.seed, consumer=ALONE)
