"""The text of a card: no damage goes unnoticed, and older ones can be read."""

import pytest

from storage.card import opened_card, sealed_card
from storage.errors import IntegrityError

TEXT = "# full 3\n\nSpeech of größe, digest `abc`.\n"


def test_a_card_is_what_was_stored() -> None:
    assert opened_card(sealed_card(TEXT), "x") == TEXT


def test_no_flipped_bit_goes_unnoticed() -> None:
    data = sealed_card(TEXT)
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(IntegrityError, match=r"^x is damaged: ") as raised:
            opened_card(bytes(damaged), "x")
        assert raised.value.path == "x"


def test_older_cards_have_no_checksum() -> None:
    assert opened_card(TEXT.encode(), "x") == TEXT
