"""The page's own scripts in a browser, with neither models nor their library."""

from collections.abc import Iterator

import numpy as np
import pytest

from configs.schema import Label, Teacher
from flows.compare.recordings import Recording
from tests.flows.compare.page import Page, opened, require_browser
from tests.flows.compare.stand_ins import stand_in
from tests.flows.running import TEACHER

pytestmark = pytest.mark.slow

SAMPLES = np.array([0, 1, -1, 32_767, -32_768], np.float32) / 32_768
BYTES_OF_URL = "fetch(values[0]).then((reply) => reply.arrayBuffer())"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of one model, which cannot load because its library is missing."""
    require_browser()
    model = stand_in(tmp_path_factory.mktemp("page") / "teacher", "teacher")
    spoken = Recording(name="a/b/1", reference="A B", samples=SAMPLES)
    label = Label(teacher=Teacher(path=str(TEACHER)))
    with opened([model], [spoken], {}, label) as page:
        yield page


def test_a_model_that_does_not_load_is_reported(page: Page) -> None:
    page.until(lambda: page.problem, "the problem")
    assert page.problem.startswith("The teacher failed: ")
    assert not page.find("#transcribe").is_enabled()


def test_threads_can_share_memory(page: Page) -> None:
    assert page.driver.execute_script("return crossOriginIsolated") is True


@pytest.mark.parametrize(
    ("reference", "text", "expected"),
    [
        ("a b c", "a b c", [False, False, False]),
        ("A cat, it sat.", "a cat it sat", [False] * 4),
        ("a b c", "a x c d", [False, True, False, True]),
        ("a b c", "c", [False]),
        ("", "a", [True]),
        ("a", "", []),
    ],
)
def test_words_that_differ(page: Page, reference: str, text: str, expected: list[bool]) -> None:
    assert page.imported("words.js", "exports.differing(...values)", reference, text) == expected


def test_a_recording_is_decoded_to_the_same_samples(page: Page) -> None:
    decoded = f"{BYTES_OF_URL}.then(exports.decodeSound).then((one) => [...one])"
    found = page.imported("sound.js", decoded, "recordings/0.wav")
    np.testing.assert_array_equal(np.array(found, np.float32), SAMPLES)


def test_long_sound_is_cut_at_its_pauses(page: Page) -> None:
    """Of 50,000 samples with a pause at 26,000, windows have at most 32,000."""
    cut = (
        "(() => { const samples = new Float32Array(50000).fill(0.5);"
        " samples.fill(0, 25600, 27200);"
        " return exports.cutAtPauses(samples, 32000).map((one) => one.length); })()"
    )
    lengths = page.imported("sound.js", cut)
    assert sum(lengths) == 50_000
    assert lengths[0] == 26_400
    assert all(length <= 32_000 for length in lengths)
