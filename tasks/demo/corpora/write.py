"""The demo corpora: synthetic speech in the distribution formats of real corpora.

Each corpus is one function that returns its archives. To add one, write the function, add it to
`MAKERS` and its name to `tasks.corpora.synthetic`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.corpora.synthetic import SYNTHETIC_VERSION
from tasks.demo.corpora.ami import ami_archives
from tasks.demo.corpora.common_voice import common_voice_archives
from tasks.demo.corpora.fisher import fisher_archives
from tasks.demo.corpora.gigaspeech import gigaspeech_archives
from tasks.demo.corpora.librispeech import librispeech_archives
from tasks.demo.corpora.peoples_speech import peoples_speech_archives
from tasks.demo.corpora.switchboard import switchboard_archives
from tasks.demo.corpora.tedlium import tedlium_archives
from tasks.demo.corpora.voxpopuli import voxpopuli_archives
from tasks.demo.formats.archives import Archive, Parameter, Tree, is_complete, write_archives

CorpusMaker = Callable[[int, int, int, Callable[[], None]], tuple[Archive | Tree, ...]]
"""(seed, num_train_utterances, num_eval_utterances, on_utterance) to archives.

Calls `on_utterance` after each synthesised utterance.
"""

MAKERS: dict[str, CorpusMaker] = {
    "peoples_speech": peoples_speech_archives,
    "gigaspeech": gigaspeech_archives,
    "common_voice": common_voice_archives,
    "librispeech": librispeech_archives,
    "voxpopuli": voxpopuli_archives,
    "tedlium": tedlium_archives,
    "fisher": fisher_archives,
    "switchboard": switchboard_archives,
    "ami": ami_archives,
}


class UnknownDemoCorpusError(ValueError):
    """A corpus without a synthetic form."""


def write_corpora(
    folder: Path,
    names: Sequence[str],
    seed: int,
    num_train_utterances: int,
    num_eval_utterances: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write each corpus into `folder/{name}`: its archives and `SHA256SUMS`.

    Returns the folders by name. `num_train_utterances` is the number of transcript lines in the
    training split, including defects (see `tasks.demo.speech.utterances.defect_at`);
    `num_eval_utterances` is that of the development split and of the test split each. The output
    is deterministic. A corpus already written with these arguments is left unchanged.
    `progress(done, total)` counts utterances over all corpora. Raises `UnknownDemoCorpusError`,
    `ValueError` for a count below 1, and `SpeechSynthesisError` if espeak-ng is not installed.
    """
    unknown = [name for name in names if name not in MAKERS]
    if unknown:
        raise UnknownDemoCorpusError(
            f"the demo cannot make the corpus {unknown[0]!r}; "
            f"it can make {', '.join(sorted(MAKERS))}: take one of these, "
            "or point the corpus at a real download"
        )
    for label, count in (("train", num_train_utterances), ("eval", num_eval_utterances)):
        if count < 1:
            raise ValueError(f"num_{label}_utterances is {count}, expected at least 1")
    num_each = num_train_utterances + 2 * num_eval_utterances
    total = num_each * len(names)
    done = 0

    def advance(num_utterances: int = 1) -> None:
        nonlocal done
        done += num_utterances
        if progress is not None:
            progress(done, total)

    folders = {name: folder / name for name in names}
    for name, corpus_folder in folders.items():
        parameters: dict[str, Parameter] = {
            "corpus": name,
            "version": SYNTHETIC_VERSION,
            "seed": seed,
            "num_train_utterances": num_train_utterances,
            "num_eval_utterances": num_eval_utterances,
        }
        if is_complete(corpus_folder, parameters):
            advance(num_each)
            continue
        archives = MAKERS[name](seed, num_train_utterances, num_eval_utterances, advance)
        write_archives(corpus_folder, archives, parameters)
    return folders
