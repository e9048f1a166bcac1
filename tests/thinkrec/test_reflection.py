"""The reflection loop with a small learner that really learns, and a teacher behind a real server."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from kitrec.core.auc import auc
from kitrec.core.errors import InputError
from kitrec.openai_client.client import complete
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import ReplyCache
from kitrec.thinkrec.conversion import with_reasons
from kitrec.thinkrec.params import Reflection
from kitrec.thinkrec.rationale_teachers import EndpointTeacher, TemplateTeacher
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.reflection import ReflectionLoop, mispredicted, reflect
from tests.chat_server import ChatServer, completion, serve
from tests.thinkrec.made_thinkrec import made_record


class Memory:
    """Predicts the label of the targets that it was trained on, and mispredicts the others."""

    def __init__(self, learns: bool) -> None:
        self.known, self.learns = dict[str, int](), learns

    def predict(self, records: Sequence[Record]) -> np.ndarray:
        return np.array([self.known.get(record.target, 0.2 + 0.01 * int(record.target[1:])) for record in records])

    def learn(self, samples: Sequence[Record], _number: int):
        before = dict(self.known)
        if self.learns:
            self.known |= {record.target: record.label for record in samples}

        def undo() -> None:
            self.known = before

        return undo


RECORDS = [made_record(k, target=f"i{k}", label=int(k % 5 == 0)) for k in range(20)]  # four positives, all mispredicted


def looped(memory: Memory, teacher, rounds: int, max_mistakes: int):
    labels = np.array([record.label for record in RECORDS])
    loop = ReflectionLoop(memory.predict, teacher, memory.learn, lambda: auc(labels, memory.predict(RECORDS)))
    return reflect(RECORDS, loop, Reflection(rounds=rounds, max_mistakes=max_mistakes))


def test_mistakes_are_explained_learned_and_reported():
    memory = Memory(learns=True)
    result = looped(memory, TemplateTeacher({}), rounds=3, max_mistakes=2)
    assert [(row.mistakes, row.requested, row.learned) for row in result.rounds] == [(4, 2, 2), (2, 2, 2), (0, 0, 0)]
    assert [row.improved for row in result.rounds] == [True, True, False] and memory.predict(RECORDS)[0] == 1
    # the most confident mistakes first
    assert [record.target for record in result.samples] == ["i0", "i5", "i10", "i15"]
    assert all(record.mode == "v1" and record.reason.startswith("Yes. ") for record in result.samples)
    provenance = ["reflection 1, template"] * 2 + ["reflection 2, template"] * 2
    assert [record.provenance for record in result.samples] == provenance
    assert result.rounds[1].after == 1.0 > result.rounds[0].after > result.rounds[0].before


def test_a_round_without_improvement_is_reported_and_undone():
    memory = Memory(learns=False)
    result = looped(memory, TemplateTeacher({}), rounds=3, max_mistakes=2)
    assert len(result.rounds) == 1 and not result.rounds[0].improved and not result.samples
    assert result.rounds[0].before == result.rounds[0].after and memory.known == {}
    assert looped(memory, TemplateTeacher({}), rounds=0, max_mistakes=2).rounds == []


def test_the_wrong_side_of_one_half_is_a_mistake():
    records = [made_record(k, label=label) for k, label in enumerate([1, 1, 0, 0, 1])]
    assert mispredicted(records, np.array([0.4, 0.6, 0.9, 0.5, 0.1])) == [records[2], records[4], records[0]]


def made_endpoint(url: str, **changed) -> Endpoint:
    fields = {"url": url, "model": "teacher", "temperature": 0.0, "max_tokens": 60, "timeout": 5.0, "retries": 0}
    fields |= {"max_tokens_parameter": "max_tokens", "max_concurrency": 2}
    fields |= {"input_price": 1.0, "output_price": 1.0, "budget": 1.0}
    return Endpoint(**(fields | changed))


def honest(request):
    content = json.loads(request["messages"][1]["content"])
    return 200, completion(json.dumps({"verdict": content["right answer"], "reason": "yes, it is like the rest."}))


@pytest.fixture
def server():
    served = ChatServer(honest)
    running = serve(served)
    yield served
    running.shutdown()
    running.server_close()


def teacher(server: ChatServer, folder, **changed) -> EndpointTeacher:
    endpoint = made_endpoint(server.url, **changed)
    cache = ReplyCache(folder)
    return EndpointTeacher(endpoint, lambda requests: complete(requests, endpoint, cache, quiet=True), seed=3)


def test_replies_of_an_endpoint_are_cached(server, tmp_path):
    result = looped(Memory(learns=True), teacher(server, tmp_path), rounds=1, max_mistakes=3)
    assert [record.provenance for record in result.samples] == ["reflection 1, endpoint:teacher"] * 3
    assert result.samples[0].reason == "Yes. it is like the rest." and len(server.requests) == 3
    shown = json.loads(server.requests[0]["messages"][1]["content"])
    assert set(shown) == {"history", "item", "right answer", "the recommender's wrong answer"}
    assert (shown["right answer"], shown["the recommender's wrong answer"]) == ("Yes", "No")
    repeated = looped(Memory(learns=True), teacher(server, tmp_path), rounds=1, max_mistakes=3)
    assert repeated.samples == result.samples and len(server.requests) == 3


def test_replies_that_break_the_schema_or_the_label_are_counted(server, tmp_path):
    wrong, good = '{"verdict": "No", "reason": "Bad."}', '{"verdict": "Yes", "reason": "Good."}'
    replies = iter([wrong, "no json", good, "{}", '{"verdict": "Yes", "reason": "No, never."}'])
    server.answer = lambda _: (200, completion(next(replies)))
    records = [made_record(k, label=1) for k in range(5)]
    kept, dropped = with_reasons(records, teacher(server, tmp_path, max_concurrency=1))
    assert [record.reason for record in kept] == ["Yes. Good."]
    assert dropped == {"unexplained": 3, "contradicting_reasons": 1}


def test_the_cost_is_limited(server, tmp_path):
    with pytest.raises(InputError, match=r"endpoint.budget is 0"):
        teacher(server, tmp_path, budget=0.0).explain([made_record(1)])
    assert not server.requests
