"""The official splits of AMI for speech recognition ("full-corpus-ASR")."""

from collections.abc import Mapping
from typing import Final

# Series of meetings and the letters of its meetings; empty for a single meeting.
_TRAIN: Final[Mapping[str, str]] = {
    "EN2001": "abde",
    "EN2003": "a",
    "EN2004": "a",
    "EN2005": "a",
    "EN2006": "ab",
    "EN2009": "bcd",
    **dict.fromkeys(("ES2002", "ES2003", "ES2005", "ES2006", "ES2007", "ES2008"), "abcd"),
    **dict.fromkeys(("ES2009", "ES2010", "ES2012", "ES2013", "ES2014", "ES2015"), "abcd"),
    "ES2016": "abcd",
    "IB4005": "",
    **dict.fromkeys(("IN1001", "IN1002", "IN1005", "IN1007", "IN1008"), ""),
    **dict.fromkeys(("IN1009", "IN1012", "IN1013", "IN1014", "IN1016"), ""),
    "IS1000": "abcd",
    "IS1001": "abcd",
    "IS1002": "bcd",
    "IS1003": "abcd",
    "IS1004": "abcd",
    "IS1005": "abc",
    "IS1006": "abcd",
    "IS1007": "abcd",
    **dict.fromkeys(("TS3005", "TS3006", "TS3007", "TS3008"), "abcd"),
    **dict.fromkeys(("TS3009", "TS3010", "TS3011", "TS3012"), "abcd"),
}
_DEV: Final[Mapping[str, str]] = {
    "ES2011": "abcd",
    **dict.fromkeys(("IB4001", "IB4002", "IB4003", "IB4004", "IB4010", "IB4011"), ""),
    "IS1008": "abcd",
    "TS3004": "abcd",
}
_TEST: Final[Mapping[str, str]] = dict.fromkeys(("EN2002", "ES2004", "IS1009", "TS3003"), "abcd")


def _meetings(series: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name}{letter}" for name, letters in series.items() for letter in letters or ("",)
    )


MEETINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "train": _meetings(_TRAIN),
    "dev": _meetings(_DEV),
    "test": _meetings(_TEST),
}

PART_OF_MEETING: Final[Mapping[str, str]] = {
    meeting: part for part, meetings in MEETINGS.items() for meeting in meetings
}
"""The part of each meeting: train, dev or test."""
