"""Tokens equal the reference's: by its documented behaviour here, and run beside it where Java is at hand."""

import gzip
import json
import random
from itertools import chain, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics.ptb import encode, tokenize
from tests.metrics.reference import reference_tokens, require_data, require_java

MARKS = ".,!?;:'\"-()/&#$%*+=@_~[]{}"


def tokens(caption: str) -> str:
    return " ".join(tokenize([caption])[0])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man (2) riding a (a) horse.", "a man -lrb- 2 -rrb- riding a -lrb- a -rrb- horse"),
        ("what?! oh?? hey!! no? yes!", "what ?! oh ?? hey !! no yes"),
        ("£5 €5 ½ — &amp; #1 $5 50%", "# 5 $ 5 1/2 & # 1 $ 5 50 %"),
        ("it's don't can't cannot gonna wanna gotta", "it 's do n't ca n't can not gon na wan na got ta"),
        ("lemme gimme 'tis 'twas 'em y'all", "lem me gim me 't is 't was 'em y' all"),
        ("rock 'n' roll", "rock 'n' roll"),
        (
            "ma'am cap'n s'mores c'mon o'clock d'oeuvres O'Neil men's",
            "ma'am cap'n s'mores c'mon o'clock d'oeuvres o'neil men 's",
        ),
        ("a well-known and/or trailing- word", "a well-known and/or trailing word"),
        ("12:30pm oh!no yes.no a,1", "12:30 pm oh!no yes.no a ,1"),
        ("Mr. Smith St. Inc. etc. ft. a.m. U.S. K. dogs", "mr. smith st. inc. etc. ft. a.m. u.s. k. dogs"),
        ("Wash. la. La. Miss. miss. tex. Tex. x", "wash. la la. miss. miss tex tex. x"),
        ("no. 5 no. dogs fig. 3 pp. 7", "no. 5 no dogs fig. 3 pp. 7"),
        ("5 1/2 cups, (412) 555-1234", "5\u00a01/2 cups -lrb-412-rrb-\u00a0555-1234"),
        (
            "24 246813 (24)246 246 +246-24 246-24681 2 246813",
            "24\u00a0246813 -lrb-24-rrb-246\u00a0246 +246-24\u00a0246-24681 2 246813",
        ),
        ("12/3-2004 1/2/3/4 1234-1/2 12345 1/2", "12/3-2004 1/2/3 / 4 1234-1/2 12345 1/2"),
        ("a-b-c/d a-b-c-d/e A&amp;B a-b.c. 3.jpg! 3.abc", "a-b-c/d a-b-c-d / e a&b a-b.c. 3.jpg 3 abc"),
        ("a#b.com a#b.com/c?d. a#b.info www.a-b.info", "a#b.com a#b.com/c?d a #b info www.a-b.info"),
        ("HTTP://a# http://a a#b@c!", "http://a# http / / a a#b@c!"),
        ("<a b='(' c/> </a > <a b=c> <!-- d -->", "<a\u00a0b='('\u00a0c/> </a\u00a0> < a b = c > <!--\u00a0d\u00a0-->"),
        ("^_^ (>.<) >:-) ;o| (ab)", "^_^ -lrb->.<-rrb- >:--rrb- ;o| -lrb- ab -rrb-"),
        ("\u2018hi\u201d\u2019 \u201c\u201d", "hi ''' ``''"),
        ("AT&T black&white C++ burgundy,low-rider", "at&t black & white c++ burgundy,low-rider"),
        ('"quoted" \u201csmart\u201d \u2018single\u2019 it\u2019s', "quoted smart single it 's"),
        ("dog\U0001f600cat 日本語 café", "dog cat 日本語 café"),
        ("a\u0085b", "a b"),
        (
            "http://a.b/c?d=e foo@bar.com #tag @handle :-) <b>hi</b>",
            "http://a.b/c?d=e foo@bar.com #tag @handle :--rrb- <b> hi </b>",
        ),
        ("tables., x", "tables. x"),
        ("...", ""),
        ("", ""),
    ],
)
def test_known_tokens(caption: str, expected: str) -> None:
    assert tokens(caption + " y") == f"{expected} y".strip()


def test_single_letter_looks_across_captions() -> None:
    assert tokenize(["it reads K.", "A dog sat"])[0] == ["it", "reads", "k"]
    assert tokenize(["it reads K.", "", "A dog sat"])[0] == ["it", "reads", "k"]
    assert tokenize(["it reads K.", "dogs"])[0] == ["it", "reads", "k."]
    assert tokenize(["it reads K.", "THE dog"])[0] == ["it", "reads", "k"]


def test_end_of_text() -> None:
    assert tokenize(["reads K.", "The"])[0] == ["reads", "k."]  # nothing after the word shows that it is one
    assert tokenize(["reads K."])[0] == ["reads", "k."]


def test_texts_do_not_look_at_one_another() -> None:
    corpus = encode([["reads K."], ["A dog sat"]])
    assert [corpus.vocabulary[i] for i in corpus.ids] == ["reads", "k.", "a", "dog", "sat"]


@pytest.mark.parametrize("mark", ["\n", "\r", "\r\n", "\u2028", "\u2029", "\v", "\f"])
def test_line_breaks_shift_nothing(mark: str) -> None:
    assert tokenize([f"a cat{mark}sits", "a dog"]) == [["a", "cat", "sits"], ["a", "dog"]]


def test_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        tokenize(["a \ud83d dog"])


def test_no_captions() -> None:
    assert tokenize([]) == []
    assert tokenize(["", ""]) == [[], []]


def test_split_tokens() -> None:
    corpus = encode([["a 5 1/2 b"]])
    assert [corpus.vocabulary[i] for i in corpus.ids] == ["a", "5", "1/2", "b"]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=6))
def test_any_text_gives_one_list_for_each_caption(captions: list[str]) -> None:
    result = tokenize(captions)
    assert len(result) == len(captions)
    assert all(token and " " not in token and token == token.lower() for words in result for token in words)


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab TheK.,'1/- 5n(<\n"), max_size=12), min_size=1, max_size=5))
def test_shortcuts_change_nothing(captions: list[str]) -> None:
    """Chunk by chunk, as captions mostly are, or word by word through the rules with the whole text in sight."""
    from mmbench.metrics.ptb.lexer import lex

    lines = [caption.replace("\n", " ") for caption in captions]
    whole = [lex(line, "".join(f"\n{later}" for later in lines[place + 1 :])) for place, line in enumerate(lines)]
    assert tokenize(captions) == whole


def coco_captions() -> list[str]:
    path = require_data("metrics", "coco_captions", "captions_val2017.json.gz")
    annotations = json.loads(gzip.decompress(path.read_bytes()))["annotations"]
    return [annotation["caption"].replace("\n", " ") for annotation in annotations]


def flickr_captions() -> list[str]:
    lines = require_data("flickr8k", "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("\t", 1)[1] for line in lines if "\t" in line]


@pytest.mark.parametrize("captions", [coco_captions, flickr_captions])
def test_equals_reference_on_real_captions(captions, tmp_path: Path) -> None:
    require_java()
    texts = captions()
    assert len(texts) > 25_000
    assert tokenize(texts) == reference_tokens(texts, tmp_path)


def lightly_edited(text: str, rng: random.Random) -> str:
    signs = list(text)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(signs))
        match rng.randrange(4):
            case 0:
                signs.insert(place, rng.choice(MARKS))
            case 1:
                signs[place] = rng.choice(MARKS)
            case 2:
                signs[place] = signs[place].upper()
            case 3:
                signs[:] = "".join(signs).upper() if rng.random() < 0.2 else "".join(signs).title()
    return "".join(signs)


def test_nearly_equals_reference_after_light_edits(tmp_path: Path) -> None:
    require_java()
    rng = random.Random(7)
    texts = [lightly_edited(text, rng) for text in rng.choices(coco_captions(), k=20_000)]
    expected, found = reference_tokens(texts, tmp_path), tokenize(texts)
    num_different = sum(a != b for a, b in zip(expected, found, strict=True))
    assert num_different <= 0.0005 * len(texts)  # ten times better than what is promised


def test_equals_reference_on_groups_of_digits(tmp_path: Path) -> None:
    """Two to four groups of one to six digits, as telephone numbers, fractions and dates have them, and others."""
    require_java()
    rng = random.Random(5)
    gaps = [" ", "-", "\u00a0", "/", ".", "  ", ""]
    texts = []
    for lengths in chain(*(product(range(1, 7), repeat=groups) for groups in (2, 3, 4))):
        first, *groups = ("2468135790"[:length] for length in lengths)
        for opened in ("{}", "({})", "+{}", "({}) "):
            gap = rng.choice(gaps)
            texts.append(f"x {opened.format(first)}" + "".join(rng.choice([gap, "-", " "]) + each for each in groups))
    different = [
        text for text, a, b in zip(texts, reference_tokens(texts, tmp_path), tokenize(texts), strict=True) if a != b
    ]
    assert not different, different[:10]


# What odd chunks of each kind are made of.
KINDS = {
    "number": [*"0123", *".,:+-%/ a", "st", "\u00a0", "\u00bd", "\\/"],
    "slash": [*"abC12/-/ .", "\\/"],
    "hyphen": [*"abC12--_., ", "d'", "O'", "'s", "\u2011"],
    "initials": [*"aBcD...-/&+ ", "etc", "&amp;", "'s"],
    "apostrophe": [*"aeibnNtTsSdDlLoOyY'' -.1`", "\u2019", "\u2018", "&apos;"],
    "quotes": [*"a'\"` ", "\u2018", "\u2019", "\u201c", "\u201d"],
    "link": ["http://", "HTTPS://", "www.", ".com", ".org", *"./?=ab1-(),!<>|{}~#&: '"],
    "mail": [*"@@a1C.-_<>(){}[],;:! '+", "\u00e9"],
    "mention": [*"#@aB1_- .$", "\u00e9", "'s"],
    "face": [*":;=-o*'dDpPO()@[]\\{}|<>^_xX~.,/3 a"],
    "tag": ["<", ">", "</", *"aB1 ='!/?-\"", "br"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_equals_reference_on_odd_chunks(kind: str, tmp_path: Path) -> None:
    require_java()
    rng = random.Random(kind)
    chunks = ["".join(rng.choices(KINDS[kind], k=rng.randint(2, 9))) for _ in range(5_000)]
    texts = [rng.choice(["x {} y", "{}", "x {}, y", "x {}."]).format(chunk) for chunk in chunks]
    expected, found = reference_tokens(texts, tmp_path), tokenize(texts)
    different = [text for text, a, b in zip(texts, expected, found, strict=True) if a != b]
    assert len(different) <= 0.001 * len(texts), different[:10]


def test_equals_reference_on_every_sign(tmp_path: Path) -> None:
    require_java()
    breaks = set("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\x00")
    signs = [sign for sign in map(chr, [*range(0xD800), *range(0xE000, 0x10000)]) if sign not in breaks]
    texts = [text for sign in signs for text in (f"x {sign} y", f"xa{sign}by")]
    expected, found = reference_tokens(texts, tmp_path), tokenize(texts)
    different = [text for text, a, b in zip(texts, expected, found, strict=True) if a != b]
    assert not different, different[:10]
