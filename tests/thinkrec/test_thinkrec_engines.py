"""The same composed embeddings in transformers and in a stock vLLM engine, in 32 bits, with an adapter."""

import numpy as np
import pytest

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.prompt_composer import Composed
from kitrec.thinkrec.shared_prefix import ask
from kitrec.thinkrec.storage import save_projected, save_stage
from kitrec.thinkrec.vllm_scoring import load_served
from kitrec.thinkrec.yes_no_ranking import Asker
from tests.conftest import ROOT
from tests.llm.made_methods import made_engine
from tests.thinkrec.made_thinkrec import BOTH, TEXT, a_composer, a_model, a_record, an_objective


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"engine": {"replicas": 2}}, "one engine scores"),
        ({"objective": {"logit": "yes"}}, "tells no logit of Yes alone"),
        ({"train": {"text": "records", "projector": "text", "groups": "projector"}}, "does not mix the adapters"),
    ],
)
def test_what_an_engine_cannot_score_is_refused_by_name(changed, rule):
    tree = params.read(ROOT / "params.yaml")
    own = tree["thinkrec"]
    own["eyes"], own["train"] = ["sasrec"], {"text": "records", **changed.get("train", {})}
    own["objective"] |= changed.get("objective", {})
    own["scoring"] = {"kind": "vllm", "engine": tree["engine"] | changed.get("engine", {})}
    problems: list[str] = []
    params.parse(ThinkRec, "thinkrec", tree, problems)
    assert len(problems) == 1 and rule in problems[0]


@pytest.mark.slow
def test_yes_and_no_are_as_likely_in_both(tiny_base, tokenizer, tmp_path):
    model, base = a_model(tiny_base, tokenizer), pin(Base(path=str(tiny_base), revision=None))
    told = {"stage": "text"}
    save_stage(model.llm, "general", tokenizer, base, told, tmp_path / "text")
    save_projected(
        model.projector, tmp_path, told, lambda own: save_stage(model.llm, "general", tokenizer, base, told, own)
    )
    composer = a_composer(tokenizer, templates=(BOTH, TEXT, "<ItemIDList> <TargetItemID> <TargetItemTitle>?"))
    prompts = [composer.compose(a_record(k), k) for k in range(9)]
    truth = [said for own in prompts for said in ask(model, [[own]])]
    engine = made_engine(dtype="float32", max_model_len=512, max_num_seqs=16, gpu_memory_utilization=0.5, shard_size=8)
    served = load_served(base, tokenizer, engine, tmp_path, "projector", seed=1)
    found = served.log_probabilities(prompts)
    wanted = np.array([[said.log_yes[0], said.log_no[0]] for said in truth])
    assert np.abs(found - wanted).max() <= 1e-3
    with pytest.raises(InputError, match=r"a prompt has 600 tokens, the engine takes 511: raise .*max_model_len"):
        long = Composed(np.ones(600, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32))
        served.log_probabilities([long])
    with model.llm.disable_adapter():
        base_says = ask(model, [[prompts[0]]])[0].log_yes[0]
    assert abs(base_says - wanted[0, 0]) > 1e-2  # the adapter is not nothing
    lists = [[a_record(k) for k in own] for own in (range(4), [4], range(5, 9))]
    objective = an_objective(logit="yes_minus_no")
    ours = Asker(model, composer, objective).probabilities(lists)
    theirs = served.asker(composer, objective).probabilities(lists)
    assert [len(own) for own in theirs] == [4, 1, 4]
    assert np.abs(np.concatenate(ours) - np.concatenate(theirs)).max() <= 1e-3
