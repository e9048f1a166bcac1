"""The same composed embeddings in transformers and in a stock vLLM engine, in 32 bits, with an adapter."""

import numpy as np
import pytest

from kitrec.core import params
from kitrec.core.errors import InputError
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin
from kitrec.thinkrec.params import ThinkRec
from kitrec.thinkrec.prompt_composer import ComposedPrompt
from kitrec.thinkrec.shared_prefix import yes_no_logits
from kitrec.thinkrec.storage import save_projected, save_stage
from kitrec.thinkrec.vllm_scoring import load_served
from kitrec.thinkrec.yes_no_ranking import TransformersScorer
from tests.conftest import ROOT
from tests.llm.made_methods import made_engine
from tests.thinkrec.made_thinkrec import BOTH, TEXT, made_composer, made_model, made_objective, made_record


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"engine": {"replicas": 2}}, "one engine scores"),
        ({"objective": {"logit": "yes"}}, "returns no logit of Yes alone"),
        ({"train": {"text": "records", "projector": "text", "groups": "projector"}}, "does not mix the adapters"),
    ],
)
def test_settings_that_an_engine_cannot_score_are_refused(changed, rule):
    tree = params.read(ROOT / "params.yaml")
    section = tree["thinkrec"]
    section["encoders"], section["train"] = ["sasrec"], {"text": "records", **changed.get("train", {})}
    section["objective"] |= changed.get("objective", {})
    section["scoring"] = {"kind": "vllm", "engine": tree["engine"] | changed.get("engine", {})}
    problems: list[str] = []
    params.parse(ThinkRec, "thinkrec", tree, problems)
    assert len(problems) == 1 and rule in problems[0]


@pytest.mark.slow
def test_an_engine_and_transformers_agree_on_yes_and_no(tiny_base, tokenizer, tmp_path):
    model, base = made_model(tiny_base, tokenizer), pin(Base(path=str(tiny_base), revision=None))
    origin = {"stage": "text"}
    save_stage(model.llm, "general", tokenizer, base, origin, tmp_path / "text")
    save_projected(
        model.projector, tmp_path, origin, lambda to: save_stage(model.llm, "general", tokenizer, base, origin, to)
    )
    composer = made_composer(tokenizer, templates=(BOTH, TEXT, "<ItemIDList> <TargetItemID> <TargetItemTitle>?"))
    prompts = [composer.compose(made_record(k), k) for k in range(9)]
    reference = [logits for prompt in prompts for logits in yes_no_logits(model, [[prompt]])]
    engine = made_engine(dtype="float32", max_model_len=512, max_num_seqs=16, gpu_memory_utilization=0.5, shard_size=8)
    served = load_served(base, tokenizer, engine, tmp_path, "projector", seed=1)
    actual = served.log_probabilities(prompts)
    expected = np.array([[logits.log_yes[0], logits.log_no[0]] for logits in reference])
    assert np.abs(actual - expected).max() <= 1e-3
    with pytest.raises(InputError, match=r"a prompt has 600 tokens, the engine takes 511: raise .*max_model_len"):
        long = ComposedPrompt(
            np.ones(600, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
        )
        served.log_probabilities([long])
    with model.llm.disable_adapter():
        base_log_yes = yes_no_logits(model, [[prompts[0]]])[0].log_yes[0]
    assert abs(base_log_yes - expected[0, 0]) > 1e-2  # the adapter changes the scores
    lists = [[made_record(k) for k in numbers] for numbers in (range(4), [4], range(5, 9))]
    objective = made_objective(logit="yes_minus_no")
    by_transformers = TransformersScorer(model, composer, objective).probabilities(lists)
    by_engine = served.scorer(composer, objective).probabilities(lists)
    assert [len(scores) for scores in by_engine] == [4, 1, 4]
    assert np.abs(np.concatenate(by_transformers) - np.concatenate(by_engine)).max() <= 1e-3
