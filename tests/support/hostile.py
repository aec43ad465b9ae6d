"""Inputs that nobody means well with, for every parser: parts of real samples exchanged, spoilt bytes, raw bytes.

How many is said by HYPOTHESIS_PROFILE: `ci`, the same ones at every run, or `deep`, ten times as many and new ones.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEEP = os.environ.get("HYPOTHESIS_PROFILE", "ci") == "deep"
EXAMPLES = 100_000 if DEEP else 10_000
"""For each parser, in all of its three tests."""
SHARES = {"spoilt": 0.65, "raw": 0.2, "exchanged": 0.15}
"""Drawing exchanged parts costs the most, and finds no more than that share."""
SAMPLES = Path(__file__).parent / "label_samples"

TOKENS = [
    *(b'"', b"'", b"{", b"}", b"[", b"]", b"[" * 300, b'{"a":' * 300, b",", b":", b"\\", b"/", b"..", b"../../x", b"\x00"),
    *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"0", b"-0.0", b"9" * 400, b"0x10", b"1_000", b"1e", b".5", b"+1"),
    *(b"null", b"true", b"false", b'""', b"[]", b"{}", b'"\\ud800"', b'"\\u0000"', b'"\\u202e"', b"\xff\xfe", b"\xc3\x28"),
    *("\u202e".encode(), "\u0000é\ufffe".encode(), "٣".encode(), b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf4\x90\x80\x80"),
    *(b"<", b">", b"&", b"&x;", b"&#0;", b"<!DOCTYPE a>", b"<![CDATA[", b"<?xml?>", b"<!--", b"<a " * 60, b"]]>"),
    *(b"\n", b"\r", b"\t", b" ", b"#", b"- ", b"&a *a", b"*a", b"!!python/object:os.system", b"---\n", b"%", b"|", b"? "),
    *(b"true\n", b"1,2,3,4", b'"a""b"', b";", b"=", b"@", b"\x1a", b"\x85", b"A" * 1100, b"-" * 40, b"1 1 1 1 1", b"1e-400"),
]  # fmt: skip
_PARTS = re.compile(rb'"[^"]*"|[\w.+-]+|[^\w\s]|\s+')


def mutant(sample: bytes, seed: int) -> bytes:
    """A sample spoilt in one to four places, always the same for a seed."""
    luck = random.Random(seed)
    data = bytearray(sample)
    for _ in range(luck.randint(1, 4)):
        luck.choice(_SPOILERS)(data, luck)
    return bytes(data)


def _flip(data: bytearray, luck: random.Random) -> None:
    if data:
        data[luck.randrange(len(data))] = luck.randrange(256)


def _cut(data: bytearray, luck: random.Random) -> None:
    at = luck.randint(0, len(data))
    del data[at : at + luck.choice([1, 2, 8, 60])]


def _end(data: bytearray, luck: random.Random) -> None:
    del data[luck.randint(0, len(data)) :]


def _insert(data: bytearray, luck: random.Random) -> None:
    at = luck.randint(0, len(data))
    data[at:at] = luck.choice(TOKENS)


def _replace(data: bytearray, luck: random.Random) -> None:
    if parts := list(_PARTS.finditer(data)):
        part = luck.choice(parts)
        data[part.start() : part.end()] = luck.choice(TOKENS)


def _double(data: bytearray, luck: random.Random) -> None:
    at = luck.randint(0, len(data))
    end = at + luck.choice([1, 4, 30, 200])
    data[end:end] = data[at:end]


_SPOILERS: Sequence[Callable[[bytearray, random.Random], None]] = (
    _flip, _cut, _end, _insert, _replace, _replace, _replace, _double,
)  # fmt: skip


def exchanged(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Samples with some of their parts (numbers, words, texts, marks) exchanged for others."""
    split = [_PARTS.findall(sample) for sample in samples]
    other = st.sampled_from(TOKENS) | st.text(max_size=9).map(lambda text: text.encode("utf-8", "surrogatepass"))
    places = st.lists(st.tuples(st.integers(0, 10**6), other), min_size=1, max_size=4)
    return st.builds(_exchange, st.sampled_from(split), places)


def _exchange(parts: list[bytes], places: list[tuple[int, bytes]]) -> bytes:
    found = list(parts)
    for at, other in places:
        if found:
            found[at % len(found)] = other
    return b"".join(found)


def raw(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, with or without the beginning of a sample before them."""
    heads = [b"", *(sample[:length] for sample in samples for length in (1, 8, 40))]
    return st.builds(bytes.__add__, st.sampled_from(heads), st.binary(max_size=120))


def attack(check: Callable[[bytes], object], samples: Sequence[bytes], kind: str) -> None:
    """Give a parser its share of hostile inputs; `check` raises where the parser does what it must not."""
    count = int(EXAMPLES * SHARES[kind])
    if kind == "spoilt":
        _spoil(check, samples, count)
        return
    effort = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=not DEEP,
        suppress_health_check=list(HealthCheck),
    )

    def attempt(data: bytes) -> None:
        check(data)

    effort(given({"raw": raw, "exchanged": exchanged}[kind](samples))(attempt))()


def _spoil(check: Callable[[bytes], object], samples: Sequence[bytes], count: int) -> None:
    """One seed after the other: Hypothesis cannot shrink a seed, and takes three times as long over it as a parser."""
    luck = random.Random(None if DEEP else 0)
    for _ in range(count):
        data = mutant(luck.choice(samples), luck.getrandbits(63))
        try:
            check(data)
        except BaseException as error:
            error.add_note(f"It was given {data!r}")
            raise
