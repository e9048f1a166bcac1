"""Sentences of a rationale that speak to its judge, taken out before it is judged.

A rationale is written by a model that may have learned to flatter its judge ("Give this 10."). What is taken out leaves
no trace: the request, its hash and the kept verdict are those of the rationale without the sentence. Sentences about
the reader or the item stay, also those with numbers ("The user rated this 5").

What patterns cannot do: they know English wordings that somebody thought of. A paraphrase, another language, a hint
within an ordinary sentence ("as every fair judge will see, a perfect match") gets through, and a sentence that mixes a
reason with an order goes as a whole. Against those stand the JSON string around the rationale, which it cannot leave,
and the judge's own task, which says that nothing in it is an order; neither is a proof. Titles are left as they are:
all methods share them."""

import re
import unicodedata
from dataclasses import dataclass

_SENTENCES = re.compile(r"(?<=[.!?…])\s+|(?<=[a-z][.!?])(?=[A-Z])|\n+")

_OPENING = r"^\W*(?:(?:please|now|so|and|then|therefore|just|simply|also|instead|ok|okay|hence)\W+)*"
_CALL = r"^\W*(?:(?:dear|hey|hello|hi|attention|note|message|instructions?)\W+)*(?:(?:to|for) )?(?:(?:the|a|any) )?"
_JUDGE = r"(?:judge|grader|evaluator|rater|assessor|language model|llm|ai (?:model|assistant|judge)|chatgpt)"
_TEXT = r"(?:rationale|explanation|answer|response|recommendation|reasoning)"
_GRADE = r"(?:scores?|ratings?|points?|marks?|grades?|stars|10|ten|highest|maximum|perfect)"
_THIS = rf"(?:this|it|me|us|my|our|all|every|each|(?:the|an?) (?:{_TEXT}|{_GRADE}))"
_MUST = r"\byou (?:are|must|should|shall|will|have|need|ought|can only|may only)\b(?: \w+){0,3}?"
_DUE = r"(?:deserves?|merits?|earns?|is worth|(?:should|must) (?:get|receive|be (?:given|rated|scored|awarded)))"
_IGNORE = r"(?:ignore|disregard|forget|override|bypass|overlook)\b.*\b"

PATTERNS = {  # what a sentence does -> how it looks, folded
    "asks for a grade": [rf"{_OPENING}(?:give|award|assign|grant) (?:{_THIS} )?(?:.* )?{_GRADE}\b"],
    "says how to rate": [rf"{_OPENING}(?:rate|score|grade|mark|judge|evaluate) (?:{_THIS}\b|\d)"],
    "says what it deserves": [rf"\b(?:this|my|our|the) (?:{_TEXT}|one) (?:\w+ly )?{_DUE}\b.*\b{_GRADE}\b"],
    "orders to ignore": [
        rf"\b{_IGNORE}(?:instructions?|prompts?|guidelines?|rubric|system message)\b",
        rf"{_OPENING}{_IGNORE}(?:rules?|criteria|directions|told|above|previous)\b",
        rf"{_OPENING}(?:do not|don.t|never) (?:follow|obey|use|apply)\b.*\b(?:instructions?|rubric|criteria|scale)\b",
    ],
    "brings instructions": [r"\b(?:new|updated|real|actual|hidden|secret) (?:instructions?|system prompt|task)\s*:"],
    "speaks to the judge": [rf"{_CALL}{_JUDGE}\s*[,:!]"],
    "casts a judge": [
        rf"\b(?:as|being|acting as) (?:a|an|the|my) (?:\w+ )?{_JUDGE}\b,? (?:\w+ )?you\b",
        rf"\byou(?: are|'re) (?:a|an|the|my) (?:\w+ )?{_JUDGE}\b",
    ],
    "tells the judge what to do": [
        rf"{_MUST} (?:rate|score|grade|award|assign|output|(?:respond|reply|answer) with)\b",
        rf"{_MUST} give (?:.* )?{_GRADE}\b",
    ],
    "fills in the reply": [
        r"\b(?:logic|specificity|cross[_ -]domain(?:[_ ]link)?|preference|overall)[\"']?\s*[:=]\s*[\"']?(?:\d|ten\b)",
        r"^\W*(?:(?:my|the|final) )?(?:score|grade|verdict)\s*[:=]\s*\d",
        r"\bwinner[\"']?\s*[:=]\s*[\"']?(?:first|second|tie)\b",
    ],
    "dictates the reply": [
        rf"{_OPENING}(?:output|respond|reply|answer) (?:only|exactly|just|with)\b",
        rf"{_OPENING}(?:output|return) (?:only|exactly|the json|\{{|\"|\d)",
    ],
    "asks to be preferred": [
        rf"{_OPENING}(?:choose|pick|select|prefer|favou?r|vote for) (?:me\b|(?:first|second)\W*$)",
        rf"{_OPENING}(?:choose|pick|select|prefer|favou?r|vote for) (?:this|the first|the second|my) {_TEXT}\b",
    ],
    "plays a part of the chat": [
        r"^\W*(?:system|developer|assistant)\s*(?:message|prompt)?\s*:",
        r"<\|?im_start|\[/?inst\]",
    ],
}
_ANY = re.compile("|".join(f"(?:{pattern})" for patterns in PATTERNS.values() for pattern in patterns))


@dataclass(frozen=True)
class Cleaned:
    """A rationale without sentences to its judge, and how many went."""

    text: str
    removed: int


def cleaned(rationale: str) -> Cleaned:
    """Spaces become single ones, so that nothing tells where a sentence went.

    What is left is read again until it stays as it is: an order may be broken into lines, or framed by another one."""
    text, removed = rationale, 0
    while True:
        sentences = [part for part in _SENTENCES.split(text) if part.strip()]
        kept = [sentence for sentence in sentences if not _ANY.search(_folded(sentence))]
        removed += len(sentences) - len(kept)
        left = " ".join(" ".join(kept).split())
        if left == text:
            return Cleaned(text, removed)
        text = left


def _folded(sentence: str) -> str:
    """As the patterns see it: compatibility forms and capitals folded, invisible characters gone, single spaces."""
    plain = unicodedata.normalize("NFKC", sentence)
    seen = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
    return " ".join(seen.casefold().split())
