"""The engine against transformers + peft on the tiny base in float32: adapters and base rows in one batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from kitrec.llm.base.loading import load_for_serving
from kitrec.llm.base.params import PROJECTIONS, Base
from kitrec.llm.base.pinning import pin
from kitrec.llm.finetuning.adapters import save_adapter
from kitrec.llm.generation.engine_options import configure_process
from kitrec.llm.generation.generator import Generator
from kitrec.llm.generation.requests import Request, requests_for
from kitrec.llm.generation.vllm_engine import Sampling, VllmEngine
from kitrec.llm.likelihood.candidates import Scorer, scoring_requests
from kitrec.llm.likelihood.shared_prefix import likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest
from kitrec.parsing.parser import parse
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.template import Style
from kitrec.prompts.tokens import Encoder
from tests.llm.made_methods import made_engine, made_method

NAMES = ("one", "two", "three")
GREEDY = Sampling(max_new_tokens=12, temperature=0.0, top_p=1.0, top_k=0, seed=1)


@pytest.fixture(scope="module")
def served(tmp_path_factory, tiny_base, tokenizer):
    """An engine with three random adapters of different ranks, and their folders."""
    from peft import LoraConfig

    folder = tmp_path_factory.mktemp("adapters")
    base = pin(Base(path=str(tiny_base), revision=None))
    for number, name in enumerate(NAMES):
        torch.manual_seed(number)
        rank = 4 * (number + 1)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32), config)
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.data = torch.randn_like(parameter) * 0.1
        model.save_pretrained(folder / f"{name}.checkpoint")
        save_adapter(folder / f"{name}.checkpoint", tokenizer, base, {}, folder / name)
    engine = made_engine(dtype="float32", max_model_len=1024, max_num_seqs=16, gpu_memory_utilization=0.5, shard_size=8)
    return VllmEngine(base, engine, {n: folder / n for n in NAMES}, seed=1, quiet=True), folder


def requests() -> list[Request]:
    g = torch.Generator().manual_seed(4)
    prompts = [torch.randint(300, 1500, (30 + 7 * k,), generator=g).tolist() for k in range(8)]
    return [Request(prompt, [None, *NAMES][k % 4]) for k, prompt in enumerate(prompts)]


def reference(tiny_base: Path, folder: Path, adapter: str | None):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    return PeftModel.from_pretrained(model, str(folder / adapter)).eval() if adapter else model.eval()


def test_log_likelihoods_of_mixed_rows_equal_transformers_and_peft(served, tiny_base):
    from vllm import SamplingParams, TokensPrompt

    engine, folder = served
    batch = requests()
    outputs = engine.llm.generate(
        [TokensPrompt(prompt_token_ids=r.prompt) for r in batch],
        SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0),
        lora_request=engine.lora_requests([r.adapter for r in batch]),
        use_tqdm=False,
    )
    for request, output in zip(batch, outputs, strict=True):
        ids = torch.tensor([request.prompt])
        with torch.no_grad():
            logits = reference(tiny_base, folder, request.adapter)(ids).logits[0, :-1]
        expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        got = [entry[t].logprob for entry, t in zip(output.prompt_logprobs[1:], request.prompt[1:], strict=True)]
        assert torch.tensor(got) == pytest.approx(expected, abs=2e-3)


def test_greedy_texts_equal_transformers_and_depend_on_no_earlier_call(served, tiny_base, tokenizer):
    engine, folder = served
    batch = requests()
    together = engine.generate(batch, GREEDY)
    one_by_one = [engine.generate([r], GREEDY)[0] for r in reversed(batch)]
    assert together == list(reversed(one_by_one))
    for request, reply in zip(batch[:4], together, strict=False):
        model = reference(tiny_base, folder, request.adapter)
        ids = torch.tensor([request.prompt])
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert reply.text == tokenizer.decode(written[0, ids.shape[1] :]).removesuffix("<|im_end|>")


def made_scoring_requests() -> list[ScoringRequest]:
    """Prefixes of different lengths, one a whole number of cache blocks, and names that share beginnings."""
    g = torch.Generator().manual_seed(5)
    scoring = []
    for k, length in enumerate((40, 128, 200, 255)):
        text = torch.randint(300, 1500, (length,), generator=g).tolist()
        names = [[300 + j % 3, *torch.randint(300, 1500, (1 + j % 3,), generator=g).tolist()] for j in range(9)]
        scoring.append(ScoringRequest(text, names, [None, *NAMES][k]))
    return scoring


def test_likelihoods_of_the_two_engines_agree(served, tiny_base):
    """vLLM node by node, transformers by one pass over a trie of ids; both in float32."""
    engine, folder = served
    scoring = made_scoring_requests()
    for request, values in zip(scoring, engine.likelihoods(scoring), strict=True):
        model = reference(tiny_base, folder, request.adapter)
        assert np.abs(values - likelihoods(model, [request])[0]).max() < 1e-3


def test_a_single_continuation_is_scored_behind_its_cached_text(served, tiny_base):
    """As rationales are; one text is a whole number of cache blocks, two requests are equal, one has one token."""
    engine, folder = served
    g = torch.Generator().manual_seed(6)
    scoring = []
    for k, (length, answer) in enumerate(((40, 30), (128, 140), (1, 5), (256, 1))):
        ids = torch.randint(300, 1500, (length + answer,), generator=g).tolist()
        scoring.append(ScoringRequest(ids[:length], [ids[length:]], [None, *NAMES][k]))
    scoring.append(scoring[1])
    for request, values in zip(scoring, engine.likelihoods(scoring), strict=True):
        model = reference(tiny_base, folder, request.adapter)
        assert np.abs(values - likelihoods(model, [request])[0]).max() < 2e-3


def test_more_candidates_than_an_engine_tells_at_a_time(served, tiny_base):
    """Two hundred labels behind one text: the engine tells 128 log probabilities at a time."""
    engine, folder = served
    request = ScoringRequest(list(range(300, 420)), [[token] for token in range(500, 700)], None)
    (values,) = engine.likelihoods([request])
    expected = likelihoods(reference(tiny_base, folder, None), [request])[0]
    assert np.abs(values - expected).max() < 1e-3


def test_few_cached_tokens_change_nothing(served, monkeypatch):
    """Texts that do not fit into the cache together are scored one after the other, each still read once."""
    engine, _ = served
    scoring = made_scoring_requests()
    whole = engine.likelihoods(scoring)
    monkeypatch.setattr(engine, "_cached_tokens", lambda: 400)
    for expected, values in zip(whole, engine.likelihoods(scoring), strict=True):
        assert np.abs(values - expected).max() < 1e-4


def test_a_scorer_with_all_adapters_scores_each_request_by_its_adapter(served, tiny_base):
    _, folder = served
    scoring = made_scoring_requests()
    base = pin(Base(path=str(tiny_base), revision=None))
    scorer = Scorer(load_for_serving(base, "float32"), base, {name: folder / name for name in NAMES})
    for request, values in zip(scoring, scorer.score(scoring), strict=True):
        assert np.abs(values - likelihoods(reference(tiny_base, folder, request.adapter), [request])[0]).max() < 1e-4


IDS = tuple(f"ITEM{k:04d}" for k in range(20))


def generated(engine, tokenizer, **changes):
    encoder = Encoder(tokenizer)
    method = made_method("base", **{"max_new_tokens": 80, **changes})
    prompts = [encoder.prompt(f"Choose {k}", thinking=method.thinking) for k in range(4)]
    generator = Generator(engine, encoder, method, seed=1)
    return generator.generate([Request(prompt, None, IDS) for prompt in prompts])


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("items", [1, 3])
def test_structured_answers_name_candidates_only(served, tokenizer, thinking, items):
    changes = {"answer_items": items, "structured_outputs": True, "max_new_tokens": 200}
    replies = generated(served[0], tokenizer, thinking=thinking, thinking_budget=20 if thinking else None, **changes)
    for reply in replies:
        parsed = parse(reply.text, IDS)
        assert parsed.invalid_ids == [] and '"item_id":' in reply.text.replace(" ", "")
        assert parsed.status == "ok" or reply.finish_reason in ("length", "thought_cut")
        assert (reply.text.count("</think>") == 1) == thinking


@pytest.fixture
def prompts(dataset, items, tokenizer):
    """Prompts of the world's records: the tiny base opens a thought and ends it."""
    records = dataset.records["A"]["test"].head(6)
    prompt = Prompt(max_length=800, text="rendered", summaries=True, labels=False, answer_begins_with="id")
    return requests_for(records, items, Encoder(tokenizer), made_method("base", thinking=True), prompt)


def written(engine, tokenizer, prompts, budget):
    method = made_method("base", thinking=True, max_new_tokens=160, thinking_budget=budget)
    return Generator(engine, Encoder(tokenizer), method, seed=1).generate(prompts)


def test_a_thought_over_its_budget_is_closed_answered_and_marked_as_cut(served, tokenizer, prompts):
    whole, cut = (written(served[0], tokenizer, prompts, budget) for budget in (None, 4))
    for expected, reply in zip(whole, cut, strict=True):
        assert "<think>" in expected.text
        thought, end, answer = reply.text.partition("</think>")
        assert end and expected.text.startswith(thought) and Encoder(tokenizer).plain(thought[7:]) == expected.ids[1:4]
        assert answer.startswith("\n\n") and '"item_id"' in answer and reply.finish_reason == "thought_cut"


def test_thoughts_within_their_budget_are_written_in_one_part(served, tokenizer, prompts):
    """Only those over the budget are read a second time, so a budget in between changes some texts and not others."""
    end = Encoder(tokenizer).marks.stop
    whole = written(served[0], tokenizer, prompts, None)
    lengths = sorted(reply.ids.index(end) for reply in whole if end in reply.ids)
    budget = lengths[len(lengths) // 2]
    replies = written(served[0], tokenizer, prompts, budget)
    for expected, reply in zip(whole, replies, strict=True):
        within = end in expected.ids[: budget + 1]
        assert (reply == expected) == within and (reply.finish_reason == "thought_cut") == (not within)
    assert sum(reply == expected for expected, reply in zip(whole, replies, strict=True)) >= 1


def test_sampling_with_a_seed_takes_more_prompts_than_one_step_reads(served):
    """4,096 tokens fit in a step; the prompt on the border used to break vLLM's random state on CPU."""
    engine, _ = served
    prompts = [list(range(300 + k, 300 + k + 400)) for k in range(12)]
    sampled = Sampling(max_new_tokens=4, temperature=0.6, top_p=0.95, top_k=20, seed=42)
    first, second = (engine.generate([Request(prompt, None) for prompt in prompts], sampled) for _ in range(2))
    assert len(first) == 12 and first == second


def test_an_engine_that_failed_answers_the_next_call_as_before(served, monkeypatch):
    from vllm.v1.sample.sampler import Sampler

    engine, _ = served
    expected, forward, steps = engine.generate(requests(), GREEDY), Sampler.forward, []

    def fails_once(self, *arguments, **options):
        steps.append(1)
        if len(steps) == 3:
            raise RuntimeError("a fault in the middle of an answer")
        return forward(self, *arguments, **options)

    monkeypatch.setattr(Sampler, "forward", fails_once)
    with pytest.raises(RuntimeError, match="in the middle"):
        engine.generate(requests(), GREEDY)
    assert engine.generate(requests(), GREEDY) == expected
    with pytest.raises(RuntimeError, match="maximum context length"):
        engine.generate([*requests(), Request(list(range(300, 1500)), None)], GREEDY)  # longer than the engine takes
    assert engine.generate(requests(), GREEDY) == expected


def test_an_engine_may_start_beside_numba():
    """vLLM looks for a `kernel` in the `__dict__` of everything that modules hold."""
    ffi = pytest.importorskip("llvmlite.binding.ffi")
    configure_process(made_engine())
    assert vars(ffi.lib).get("kernel") is None


@pytest.mark.parametrize("budget", [None, 4, 100])
def test_thoughts_alone_put_the_same_text_before_the_candidates_as_whole_replies(served, tokenizer, prompts, budget):
    method = made_method("base", thinking=True, max_new_tokens=160, thinking_budget=budget)
    generator = Generator(served[0], encoder := Encoder(tokenizer), method, seed=1)
    head = AnswerHead(encoder, Style(thinking=True, answer_items=1, summaries=True))
    whole, alone = [reply.text for reply in generator.generate(prompts)], generator.thoughts(prompts)
    of_whole, of_alone = (scoring_requests(prompts, texts, head) for texts in (whole, alone))
    assert [request.prefix for request in of_alone] == [request.prefix for request in of_whole]
    assert all(len(thought) < len(text) for thought, text in zip(alone, whole, strict=True))
