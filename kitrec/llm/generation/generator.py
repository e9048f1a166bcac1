"""How a method's requests become replies: in one part, or the thought first and then the answer.

In two parts the thought is limited (and closed where it was not finished), and only the answer is bound to the schema:
a JSON object or array, in the order of its keys, whose ids are the record's candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kitrec.llm.generation.params import Method
from kitrec.llm.generation.requests import Request
from kitrec.llm.generation.vllm_engine import Reply, Sampling, Schema
from kitrec.prompts.tokens import Encoder

FENCE = "```json\n"


class Engine(Protocol):
    """Whatever generates."""

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, schemas: Sequence[Schema] | None = None
    ) -> list[Reply]:
        """One reply per request."""


@dataclass(frozen=True)
class Asking:
    """ask(requests) by an engine, as a method wants it; `labels` are those of its prompts, if they have any."""

    engine: Engine
    encoder: Encoder
    method: Method
    seed: int
    labels: tuple[str, ...] = ()

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, its text as if it had been written in one part."""
        budget, bound = self.method.thinking_budget, self.method.constrained
        if budget:
            sampling = replace(self._sampling(budget), stop=self.encoder.end_think)
            thoughts = [self._closed(reply) for reply in self.engine.generate(requests, sampling)]
            return self._answers(requests, thoughts, "\n\n" + (FENCE if bound else ""))
        if bound:
            return self._answers(requests, [Reply("", [], "")] * len(requests), FENCE)
        return self.engine.generate(requests, self._sampling(self.method.max_new_tokens))

    def _closed(self, thought: Reply) -> Reply:
        """The thought with its end; `length` stays the reason where it had to be closed."""
        ids = [token for token in thought.ids if token != self.encoder.end_of_turn]
        if self.encoder.end_think in ids:
            ids = ids[: ids.index(self.encoder.end_think)]
        else:
            thought = replace(thought, finish_reason="length")
        text = thought.text.partition("</think>")[0].replace("<|im_end|>", "")
        return Reply(f"{text}</think>", [*ids, self.encoder.end_think], thought.finish_reason)

    def _answers(self, requests: Sequence[Request], thoughts: Sequence[Reply], lead: str) -> list[Reply]:
        """What follows the thoughts and the `lead`."""
        leading = self.encoder.plain(lead)
        begun = [
            replace(r, prompt=[*r.prompt, *thought.ids, *leading])
            for r, thought in zip(requests, thoughts, strict=True)
        ]
        schemas = [answer_schema(r.candidates, self.method.answer_items, self.labels) for r in requests]
        sampling = self._sampling(self.method.max_new_tokens - (self.method.thinking_budget or 0))
        answers = self.engine.generate(begun, sampling, schemas if self.method.constrained else None)
        return [
            Reply(
                f"{thought.text}{lead}{answer.text}",
                [*thought.ids, *answer.ids],
                "thought_cut" if thought.finish_reason == "length" else answer.finish_reason,
            )
            for thought, answer in zip(thoughts, answers, strict=True)
        ]

    def _sampling(self, tokens: int) -> Sampling:
        m = self.method
        return Sampling(tokens, m.temperature, m.top_p, m.top_k, self.seed)


def answer_schema(candidates: Sequence[str], items: int, labels: Sequence[str] = ()) -> Schema:
    """The JSON schema of an answer: its ids are the candidates, its ranks count from one.

    Engines have no `uniqueItems`: an id may come twice, and counts at its first place."""

    def entry(rank: int) -> Schema:
        named: Schema = {"label": {"enum": list(labels[: len(candidates)])}} if labels else {}
        properties = named | {
            "rank": {"const": rank},
            "item_id": {"enum": list(candidates)},
            "title": {"type": "string"},
            "confidence_score": {"enum": list(range(1, 11))},
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
