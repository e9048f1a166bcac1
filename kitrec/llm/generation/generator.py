"""Generation of a method's replies: in one part, or the thought first and then the answer.

A thought over its budget is closed there and the answer written after it. With a schema all replies are in two parts:
only the answer is bound to it, a JSON object or array, in the order of its keys, whose ids (and titles, where answers
begin with these) are those of the record's candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kitrec.llm.generation.params import Method
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.vllm_engine import Reply, Sampling, Schema
from kitrec.prompts.tokens import Encoder

FENCE = "```json\n"
# 1 to 10 with at most one decimal; a range alone would set no end to the digits.
CONFIDENCES = [tenths // 10 if tenths % 10 == 0 else tenths / 10 for tenths in range(10, 101)]


class Engine(Protocol):
    """Interface of an engine that generates text."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, schemas: Sequence[Schema] | None = None
    ) -> list[Reply]:
        """Return one reply per request."""


@dataclass(frozen=True)
class Generator:
    """Generates replies by an engine with a method's settings; `labels` are those of its prompts, if they have any."""

    engine: Engine
    encoder: Encoder
    method: Method
    seed: int
    labels: tuple[str, ...] = ()

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Return one reply per request, its text as if it had been written in one part."""
        budget, structured = self.method.thinking_budget, self.method.structured_outputs
        if structured and budget:
            sampling = replace(self._sampling(budget), stop=self.encoder.marks.stop)
            thoughts = [self._closed(reply, budget) for reply in self.engine.generate(requests, sampling)]
            return self._answers(requests, thoughts, f"\n\n{FENCE}")
        if structured:
            return self._answers(requests, [Reply("", [], "")] * len(requests), FENCE)
        replies = self.engine.generate(requests, self._sampling(self.method.max_new_tokens))
        return self._with_closed_thoughts(requests, replies, budget) if budget else replies

    def thoughts(self, requests: Sequence[Request]) -> list[str]:
        """Return the thoughts alone: what scores of candidates read of a reply, for half of its tokens or less."""
        budget, stop = self.method.thinking_budget, self.encoder.marks.stop
        sampling = replace(self._sampling(budget or self.method.max_new_tokens), stop=stop)
        replies = self.engine.generate(requests, sampling)
        return [(self._closed(reply, budget) if budget else reply).text for reply in replies]

    def _with_closed_thoughts(self, requests: Sequence[Request], replies: list[Reply], budget: int) -> list[Reply]:
        """Return the replies, those whose thought is over its budget replaced: only they are read a second time."""
        over = [k for k, reply in enumerate(replies) if self._is_over(reply, budget)]
        if not over:
            return replies
        thoughts = [self._closed(replies[k], budget) for k in over]
        answered = self._answers([requests[k] for k in over], thoughts, "\n\n")
        by_row = dict(zip(over, answered, strict=True))
        return [by_row.get(k, reply) for k, reply in enumerate(replies)]

    def _is_over(self, reply: Reply, budget: int) -> bool:
        """Return whether a thought did not end within the budget; a whole text without any thought is an answer."""
        end = self.encoder.marks.end(reply.ids)
        thinks = reply.finish_reason == "length" or self.encoder.marks.opened(reply.ids)
        return thinks and (end is None or end > budget)

    def _closed(self, thought: Reply, budget: int) -> Reply:
        """Return the thought with its end, after at most `budget` tokens; the reason is `length` where it was cut."""
        marks = self.encoder.marks
        ids = [token for token in thought.ids if token not in self.encoder.ends]
        end = marks.end(ids)
        ended = end is not None and end <= budget
        closed = [*(marks.before_end(ids, self.encoder.plain) if ended else ids[:budget]), *marks.end_think]
        return Reply(self.encoder.text(closed), closed, "stop" if ended else "length")

    def _answers(self, requests: Sequence[Request], thoughts: Sequence[Reply], opening: str) -> list[Reply]:
        """Generate what follows the thoughts and the answer's opening."""
        opening_ids = self.encoder.plain(opening)
        continued = [
            replace(r, prompt=[*r.prompt, *thought.ids, *opening_ids])
            for r, thought in zip(requests, thoughts, strict=True)
        ]
        schemas = [answer_schema(r.candidates, self.method.answer_items, self.labels, r.titles) for r in requests]
        sampling = self._sampling(self.method.max_new_tokens - (self.method.thinking_budget or 0))
        answers = self.engine.generate(continued, sampling, schemas if self.method.structured_outputs else None)
        return [
            Reply(
                f"{thought.text}{opening}{answer.text}",
                [*thought.ids, *answer.ids],
                "thought_cut" if thought.finish_reason == "length" else answer.finish_reason,
            )
            for thought, answer in zip(thoughts, answers, strict=True)
        ]

    def _sampling(self, max_new_tokens: int) -> Sampling:
        m = self.method
        return Sampling(max_new_tokens, m.temperature, m.top_p, m.top_k, self.seed, ends=tuple(self.encoder.stops))


def answer_schema(
    candidates: Sequence[str], items: int, labels: Sequence[str] = (), titles: Sequence[str] = ()
) -> Schema:
    """Return the JSON schema of an answer: its ids are the candidates, its ranks count from one; with `titles` these
    stand before the ids.

    Engines do not support `uniqueItems`: an id may come twice, and counts where it first stands."""

    def entry(rank: int) -> Schema:
        label: Schema = {"label": {"enum": list(labels[: len(candidates)])}} if labels else {}
        title: Schema = {"title": {"enum": list(dict.fromkeys(titles))} if titles else {"type": "string"}}
        item_id: Schema = {"item_id": {"enum": list(candidates)}}
        properties = label | {
            "rank": {"const": rank},
            **(title | item_id if titles else item_id | title),
            "confidence_score": {"enum": CONFIDENCES},
            "rationale": {"type": "string"},
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    if items == 1:
        return entry(1)
    count = min(items, len(candidates))
    return {
        "type": "array",
        "prefixItems": [entry(rank + 1) for rank in range(count)],
        "items": False,
        "minItems": count,
    }
