import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import UserError
from storage.shard import ShardKey

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@settings(max_examples=50)
@given(names, names, st.integers(0, 10**7))
def test_what_is_formatted_is_parsed(corpus: str, split: str, index: int) -> None:
    key = ShardKey(corpus, split, index)
    assert ShardKey.parse(str(key)) == key


@given(st.text(alphabet="ab/.0123-\n٣", max_size=12))
def test_what_is_parsed_is_formatted_as_it_was(text: str) -> None:
    try:
        key = ShardKey.parse(text)
    except UserError:
        return
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "librispeech/train",
        "librispeech/train/7",
        "librispeech/train/000007",
        "librispeech/train/00007/x",
        "librispeech/train/00007\n",
        "librispeech/train/-0007",
        "librispeech/train/٠٠٠٠٧",
        "librispeech/../00007",
        "/train/00007",
    ],
)
def test_another_form_is_refused_and_shown(text: str) -> None:
    with pytest.raises(UserError, match="corpus/split/index") as raised:
        ShardKey.parse(text)
    assert repr(text) in str(raised.value)


def test_a_split_may_have_dots() -> None:
    assert ShardKey.parse("voices/train.clean.360/00012") == ShardKey(
        "voices", "train.clean.360", 12
    )


def test_keys_are_ordered_by_number() -> None:
    keys = [ShardKey("a", "b", index) for index in (100_000, 2, 99_999)]
    assert [key.index for key in sorted(keys)] == [2, 99_999, 100_000]
