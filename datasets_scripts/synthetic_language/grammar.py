"""Words and sentences of the synthetic sign language: gloss order on one side, English on the other.

The signed order is time, topic (a place), subject, object, property, verb, negation. English puts the same meaning
into another order, inflects it, and adds words that no sign stands for. Three things are signed without a gloss, as in
corpora: the plural (the noun is signed twice), the yes/no question (brows and head) and, beside NOT, the head shake.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


SPLITS = ("train", "validation", "test")

# Categories of words. A sentence is put together from them.
CATEGORIES = ("time", "place", "person", "object", "property", "action", "activity", "negation")

# (gloss, category, English). English holds, for a
#   time:      the word, the tense, where it stands in the sentence
#   place:     the phrase
#   person:    the phrase, "s" where the verb takes the third person's ending
#   object:    singular, plural
#   property:  the word
#   action:    (takes an object) base form, third person, past; an activity takes none
# Any first `num_signs` rows are a language: the later ones add words to categories that exist already.
_WORDS = (
    ("NOT", "negation", "not"),
    ("YESTERDAY", "time", "yesterday past last"),
    ("TOMORROW", "time", "tomorrow future last"),
    ("MOTHER", "person", "mother s"),
    ("WE", "person", "we -"),
    ("TEACHER", "person", "the_teacher s"),
    ("I", "person", "i -"),
    ("BUY", "action", "buy buys bought"),
    ("FIND", "action", "find finds found"),
    ("CLEAN", "action", "clean cleans cleaned"),
    ("PAINT", "action", "paint paints painted"),
    ("SLEEP", "activity", "sleep sleeps slept"),
    ("DANCE", "activity", "dance dances danced"),
    ("APPLE", "object", "apple apples"),
    ("CAR", "object", "car cars"),
    ("BOOK", "object", "book books"),
    ("LAMP", "object", "lamp lamps"),
    ("RED", "property", "red"),
    ("OLD", "property", "old"),
    ("SCHOOL", "place", "at_school"),
    ("GARDEN", "place", "in_the_garden"),
    ("OFTEN", "time", "often present middle"),
    ("TODAY", "time", "today present last"),
    ("THEY", "person", "they -"),
    ("FATHER", "person", "father s"),
    ("CHILD", "person", "the_child s"),
    ("YOU", "person", "you -"),
    ("SELL", "action", "sell sells sold"),
    ("DRAW", "action", "draw draws drew"),
    ("LOSE", "action", "lose loses lost"),
    ("WANT", "action", "want wants wanted"),
    ("SEE", "action", "see sees saw"),
    ("FLOWER", "object", "flower flowers"),
    ("CHAIR", "object", "chair chairs"),
    ("BOAT", "object", "boat boats"),
    ("LETTER", "object", "letter letters"),
    ("CUP", "object", "cup cups"),
    ("HOUSE", "object", "house houses"),
    ("BIG", "property", "big"),
    ("NEW", "property", "new"),
    ("HOME", "place", "at_home"),
    ("CITY", "place", "in_the_city"),
    ("SOON", "time", "soon future last"),
    ("ALWAYS", "time", "always present middle"),
    ("FRIEND", "person", "my_friend s"),
    ("DOCTOR", "person", "the_doctor s"),
    ("LIKE", "action", "like likes liked"),
    ("BRING", "action", "bring brings brought"),
    ("SISTER", "person", "my_sister s"),
    ("FARMER", "person", "the_farmer s"),
    ("HIDE", "action", "hide hides hid"),
    ("BREAK", "action", "break breaks broke"),
    ("WORK", "activity", "work works worked"),
    ("WAIT", "activity", "wait waits waited"),
    ("CAKE", "object", "cake cakes"),
    ("KEY", "object", "key keys"),
    ("TABLE", "object", "table tables"),
    ("BIRD", "object", "bird birds"),
    ("BLUE", "property", "blue"),
    ("SMALL", "property", "small"),
    ("MARKET", "place", "at_the_market"),
    ("FOREST", "place", "in_the_forest"),
    ("NOW", "time", "now present last"),
    ("RARELY", "time", "rarely present middle"),
)
MIN_SIGNS, MAX_SIGNS = 24, len(_WORDS)

# A word of a sentence together with the position of the gloss that it comes from.
_Aligned = tuple[str, int | None]


@dataclass(frozen=True)
class Word:
    """One word of the language: its gloss, its category and its English forms (see the table of this module)."""

    gloss: str
    category: str
    forms: tuple[str, ...]

    @property
    def english(self) -> str:
        """The word alone, as the label of an isolated sign."""
        return self.forms[0].split("_")[-1]


@dataclass(frozen=True)
class Sentence:
    """A sentence in both languages.

    Args:
        gloss (`tuple[str, ...]`):
            The signs, in signed order.
        words (`tuple[str, ...]`):
            The English words.
        alignment (`tuple[int | None, ...]`):
            For each word the position in `gloss` that it comes from; None where no sign stands for it.
        repeated (`tuple[int, ...]`):
            Positions in `gloss` that are signed twice (plural).
        shaken (`tuple[int, int]`, *optional*):
            Positions in `gloss`, first and one past the last, that a head shake goes with.
        is_question (`bool`, *optional*, defaults to `False`):
            Whether brows and head mark the sentence as a question.
    """

    gloss: tuple[str, ...]
    words: tuple[str, ...]
    alignment: tuple[int | None, ...]
    repeated: tuple[int, ...] = ()
    shaken: tuple[int, int] | None = None
    is_question: bool = False

    @property
    def text(self) -> str:
        return " ".join(self.words)


class _Meaning(NamedTuple):
    time: Word | None
    place: Word | None
    subject: Word
    verb: Word
    object: Word | None
    property: Word | None
    is_plural: bool
    is_negated: bool
    is_question: bool


class SyntheticGrammar:
    """The sentences of a language with `num_signs` words, divided into splits that share none.

    Args:
        seed (`int`):
            Seed that decides which sentences belong to which split.
        num_signs (`int`):
            Number of words, 24 to 64.

    Raises:
        ValueError: for another number of signs.
    """

    def __init__(self, seed: int, num_signs: int) -> None:
        if not MIN_SIGNS <= num_signs <= MAX_SIGNS:
            raise ValueError(f"expected num_signs from {MIN_SIGNS} to {MAX_SIGNS}, received {num_signs}")
        self.seed = seed
        self.words = tuple(Word(gloss, category, tuple(text.split())) for gloss, category, text in _WORDS[:num_signs])
        self._by_category = {
            category: tuple(word for word in self.words if word.category == category) for category in CATEGORIES
        }

    @property
    def num_sentences(self) -> int:
        """Number of different sentences (English texts) of the language, all splits together."""
        count = {category: len(words) for category, words in self._by_category.items()}
        variants = count["person"] * 2 * 2  # subject, negation, question
        settings = (count["time"] + 1) * (count["place"] + 1)
        predicates = count["action"] * count["object"] * 2 * (count["property"] + 1) + count["activity"]
        too_short = count["person"] * 2 * count["activity"]  # neither time nor place nor negation
        return variants * settings * predicates - too_short

    def split_of(self, text: str) -> str:
        """The split that a sentence belongs to: eight tenths train, one validation, one test."""
        tenth = zlib.crc32(f"{self.seed}:{text}".encode()) % 10
        return "test" if tenth == 0 else "validation" if tenth == 1 else "train"

    def draw(self, split: str, rng: np.random.Generator) -> Sentence:
        """A random sentence of `split`, 3 to 7 glosses long."""
        while True:
            sentence = _compose(self._draw_meaning(rng))
            if len(sentence.gloss) >= 3 and self.split_of(sentence.text) == split:
                return sentence

    def _draw_meaning(self, rng: np.random.Generator) -> _Meaning:
        chance = rng.random(14).tolist()

        def pick(category: str, where: float) -> Word:
            words = self._by_category[category]
            return words[int(where * len(words))]

        takes_object = chance[0] < 0.85
        return _Meaning(
            time=pick("time", chance[1]) if chance[2] < 0.55 else None,
            place=pick("place", chance[3]) if chance[4] < 0.3 else None,
            subject=pick("person", chance[5]),
            verb=pick("action" if takes_object else "activity", chance[6]),
            object=pick("object", chance[7]) if takes_object else None,
            property=pick("property", chance[8]) if takes_object and chance[9] < 0.35 else None,
            is_plural=takes_object and chance[10] < 0.45,
            is_negated=chance[11] < 0.2,
            is_question=chance[12] < 0.15,
        )


def _compose(meaning: _Meaning) -> Sentence:
    negation = Word("NOT", "negation", ("not",)) if meaning.is_negated else None
    order = (
        meaning.time,
        meaning.place,
        meaning.subject,
        meaning.object,
        meaning.property,
        meaning.verb,
        negation,
    )
    signs = [word for word in order if word is not None]
    position = {word.category: number for number, word in enumerate(signs)}
    verb_position = position[meaning.verb.category]
    words = _english(meaning, position)
    return Sentence(
        gloss=tuple(word.gloss for word in signs),
        words=tuple(word for word, _ in words),
        alignment=tuple(number for _, number in words),
        repeated=(position["object"],) if meaning.is_plural else (),
        shaken=(verb_position, len(signs)) if meaning.is_negated else None,
        is_question=meaning.is_question,
    )


def _english(meaning: _Meaning, position: dict[str, int]) -> list[_Aligned]:
    """The English words with the positions of their glosses. Tense comes from the time; do-support from nothing."""
    tense = meaning.time.forms[1] if meaning.time else "present"
    phrase, ending = meaning.subject.forms
    subject = _phrase(phrase, position["person"])
    auxiliary = {"past": "did", "future": "will", "present": "does" if ending == "s" else "do"}[tense]
    verb = (meaning.verb.forms[0], position[meaning.verb.category])
    middle: list[_Aligned] = []
    last: list[_Aligned] = []
    if meaning.time:
        (middle if meaning.time.forms[2] == "middle" else last).append((meaning.time.forms[0], position["time"]))

    front: list[_Aligned] = [(auxiliary, None if tense == "present" else position["time"])]
    negation: list[_Aligned] = [("not", position["negation"])] if meaning.is_negated else []
    if meaning.is_question:
        clause = front + subject + negation + middle + [verb]
    elif meaning.is_negated or tense == "future":
        clause = subject + front + negation + middle + [verb]
    else:
        form = {"past": 2, "present": 1 if ending == "s" else 0}[tense]
        clause = subject + middle + [(meaning.verb.forms[form], verb[1])]
    place = _phrase(meaning.place.forms[0], position["place"]) if meaning.place else []
    return clause + _object_phrase(meaning, position) + place + last


def _object_phrase(meaning: _Meaning, position: dict[str, int]) -> list[_Aligned]:
    if meaning.object is None:
        return []
    words: list[_Aligned] = [(meaning.object.forms[meaning.is_plural], position["object"])]
    if meaning.property:
        words.insert(0, (meaning.property.forms[0], position["property"]))
    if not meaning.is_plural:
        words.insert(0, ("an" if words[0][0][0] in "aeiou" else "a", None))
    return words


def _phrase(text: str, position: int) -> list[_Aligned]:
    *function_words, head = text.split("_")
    return [*((word, None) for word in function_words), (head, position)]
