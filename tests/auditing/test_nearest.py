import random
import re

import numpy as np
import pytest

from app.auditing.hashed_words import hash_words, whole_hashes
from app.auditing.nearest import Document, Texts, find_neighbours


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    said = words(text)
    return {tuple(said[k : k + 3]) for k in range(max(len(said) - 2, 1))}


@pytest.fixture(scope="module")
def vocabulary() -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices("abcdefghij", k=rng.randint(2, 7))) for _ in range(300)]


def sentence(vocabulary: list[str], rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(vocabulary, k=n))


def test_texts_of_the_same_words_are_the_same_whatever_their_case_punctuation_and_layout():
    same = ["Hello, World! It's\n\tnew.", "hello world it s new", "  HELLO -- world; it's (new)"]
    others = ["world hello it s new", "hello world it s new new", "helloworld its new"]
    hashes = whole_hashes(hash_words([*same, *others]))
    assert len(set(hashes[:3].tolist())) == 1
    assert len(set(hashes.tolist())) == 4


def test_empty_texts_and_texts_of_other_scripts_have_their_words():
    found = hash_words(["", "Grüße aus Köln", "你好世界 abc", "こんにちは", "\x00a\x00b", "…"])
    assert found.count.tolist() == [0, 3, 5, 5, 2, 0]
    assert len(set(found.word[3:8].tolist())) == 5


def test_a_word_has_the_same_hash_wherever_it_stands(vocabulary):
    rng = random.Random(2)
    texts = [sentence(vocabulary, rng, rng.randint(0, 12)) for _ in range(200)]
    found = hash_words(texts)
    by_word: dict[str, set[int]] = {}
    for text, first, count in zip(texts, found.first, found.count, strict=True):
        assert words(text) == text.split()
        for word, hashed in zip(text.split(), found.word[first : first + count], strict=True):
            by_word.setdefault(word, set()).add(int(hashed))
    assert {len(hashes) for hashes in by_word.values()} == {1}
    assert len({next(iter(hashes)) for hashes in by_word.values()}) == len(by_word)


def test_overlaps_equal_those_of_brute_force(vocabulary):
    rng = random.Random(3)
    anchors = [sentence(vocabulary, rng, rng.randint(3, 40)) for _ in range(30)]
    corpus = []
    for k in range(600):
        own = anchors[k % 30].split()
        kept = own[: rng.randint(0, len(own))]
        corpus.append(" ".join(kept + rng.choices(vocabulary, k=rng.randint(1, 20))))
    found = find_neighbours(
        Texts(anchors), (Document(str(k), text) for k, text in enumerate(corpus)), near=0.5
    )
    got = {
        (int(t), found.documents[d].name): near
        for t, d, near in zip(found.text, found.document, found.near, strict=True)
        if near >= 0.5
    }
    wanted = {}
    for t, anchor in enumerate(anchors):
        mine = runs(anchor)
        close = []
        for k, text in enumerate(corpus):
            size = max(len(text.split()) - 2, 1)
            overlap = min(len(mine & runs(text)) / min(len(mine), size), 1.0)
            if overlap >= 0.5 and len(mine) >= 6 and size >= 6:
                close.append((-overlap, k))
        wanted |= {(t, str(k)): -negative for negative, k in sorted(close)[:20]}
    exact = {pair for pair in got if words(anchors[pair[0]]) == words(corpus[int(pair[1])])}
    assert {pair: pytest.approx(near) for pair, near in got.items() if pair not in exact} == {
        pair: near for pair, near in wanted.items() if pair not in exact
    }


def test_a_long_text_is_found_within_a_longer_one_by_its_sketch(vocabulary):
    rng = random.Random(4)
    anchor = sentence(vocabulary, rng, 1_500)
    longer = f"{sentence(vocabulary, rng, 500)} {anchor} {sentence(vocabulary, rng, 500)}"
    half = f"{' '.join(anchor.split()[:750])} {sentence(vocabulary, rng, 2_000)}"
    other = sentence(vocabulary, rng, 3_000)
    corpus = [Document(name, text) for name, text in (("whole", longer), ("half", half), ("other", other))]
    found = find_neighbours(Texts([anchor]), corpus, near=0.2)
    near = {found.documents[d].name: value for d, value in zip(found.document, found.near, strict=True)}
    assert near["whole"] == 1.0
    assert near["half"] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 256))  # the sketch's standard error
    assert near.get("other", 0.0) == 0.0


def test_cosines_fall_with_what_differs_and_common_words_tell_nothing():
    anchors = [f"how do I {verb} the printer in room {k}" for k, verb in enumerate(["fix", "clean", "sell"])]
    corpus = [Document("same", "fixing printers: how to fix a printer"), Document("none", "how do i the in")]
    found = find_neighbours(Texts(anchors), corpus, near=0.9)
    likes = {
        (int(t), found.documents[d].name): value
        for t, d, value in zip(found.text, found.document, found.alike, strict=True)
    }
    assert likes[0, "same"] > likes.get((1, "same"), 0.0)
    assert all(name != "none" for _, name in likes)


def test_memory_holds_the_best_few_of_each_text_however_many_there_are(vocabulary):
    rng = random.Random(5)
    anchors = [sentence(vocabulary, rng, 12) for _ in range(3)]
    corpus = (Document(str(k), anchors[0]) for k in range(20_000))
    found = find_neighbours(Texts(anchors), corpus, near=0.5)
    assert found.read == 20_000
    assert len(found.documents) <= 60
    assert [found.documents[d].name for d in found.document[found.exact]] == [str(k) for k in range(20)]
