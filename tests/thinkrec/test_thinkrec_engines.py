"""The same composed embeddings in transformers and in a stock vLLM engine, in 32 bits, with an adapter."""

import numpy as np
import pytest

from kitrec.llm.params import Base
from kitrec.llm.pinned_base import pin
from kitrec.thinkrec.scoring import ask
from kitrec.thinkrec.served_scoring import ServedScorer
from kitrec.thinkrec.storing import save_stage
from tests.llm.methods import an_engine
from tests.thinkrec.made_thinkrec import ADAPTER, BOTH, TEXT, a_composer, a_model, a_record


@pytest.mark.slow
def test_yes_and_no_are_as_likely_in_both(tiny_base, tokenizer, tmp_path):
    model, base = a_model(tiny_base, tokenizer), pin(Base(path=str(tiny_base), revision=None))
    save_stage(model.llm, "general", tokenizer, base, {"stage": "text"}, tmp_path / "text")
    composer = a_composer(tokenizer, templates=(BOTH, TEXT, "<ItemIDList> <TargetItemID> <TargetItemTitle>?"))
    prompts = [composer.compose(a_record(k), k) for k in range(9)]
    truth = [said for own in prompts for said in ask(model, [[own]])]
    engine = an_engine(dtype="float32", max_model_len=512, max_parallel=16, memory_share=0.5, shard=8)
    served = ServedScorer(base, engine, adapter=tmp_path / "text", rank=ADAPTER.rank, seed=1)
    found = served.log_probabilities(prompts, model.table, model.projector, model.verdicts)
    wanted = np.array([[said.log_yes[0], said.log_no[0]] for said in truth])
    assert np.abs(found - wanted).max() <= 1e-3
    with model.llm.disable_adapter():
        base_says = ask(model, [[prompts[0]]])[0].log_yes[0]
    assert abs(base_says - wanted[0, 0]) > 1e-2  # the adapter is not nothing
