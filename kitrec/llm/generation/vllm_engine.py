"""A vLLM engine for a base and any number of adapters, served side by side as LoRA requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kitrec.llm.base.fetching import fetch
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.adapters import check_adapter
from kitrec.llm.generation.engine_options import configure_process, engine_options, lora_options
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import Request
from kitrec.llm.likelihood.node_prompts import NodePrompt, groups_that_fit, node_likelihoods
from kitrec.llm.likelihood.trie import ScoringRequest


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters; `stop` (a token or a text) and `ends` end a text, beside the EOS of the tokenizer."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: int | str | None = None
    ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reply:
    """The text and token ids that the model wrote, and the reason why it stopped."""

    text: str
    ids: list[int]
    finish_reason: str

    @property
    def tokens(self) -> int:
        """The number of tokens."""
        return len(self.ids)


Schema = dict[str, Any]


class VllmEngine:
    """Generates and scores with one base; adapters are folders by name."""

    def __init__(self, base: PinnedBase, engine: Engine, adapters: dict[str, Path], *, seed: int, quiet: bool) -> None:
        fetch(base)  # before the process is configured, which is offline from then on
        configure_process(engine)
        from vllm import LLM  # only after the process is configured: vLLM reads its environment on import
        from vllm.lora.request import LoRARequest

        from kitrec.llm.generation.engine_memory import (
            check_fits,  # torch and transformers are only needed where an engine is
        )

        configs = {name: check_adapter(folder, base) for name, folder in adapters.items()}
        rank = max((config["r"] for config in configs.values()), default=0)
        modules = sorted({module for config in configs.values() for module in config["target_modules"]})
        check_fits(base, engine, len(configs), rank)
        self._quiet = quiet
        self._loras = {
            name: LoRARequest(name, number, str(folder))
            for number, (name, folder) in enumerate(adapters.items(), start=1)
        }
        self.llm = LLM(
            **engine_options(base, engine, seed),
            **lora_options(len(configs), rank, modules),
            # For the whole engine: per request vLLM ignores it, and weak models then write nothing but whitespace.
            structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
        )

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, schemas: Sequence[Schema] | None = None
    ) -> list[Reply]:
        """Answer all requests in one engine call, whose replies depend on no earlier call.

        Requests are sorted by adapter, so that few adapters share a step. `schemas`: the JSON schema of each text."""
        from vllm import TokensPrompt

        self.llm.reset_prefix_cache()
        schema_of: list[Schema | None] = list(schemas) if schemas else [None] * len(requests)
        order = sorted(range(len(requests)), key=lambda k: requests[k].adapter or "")
        outputs = self._run(
            [TokensPrompt(prompt_token_ids=requests[k].prompt) for k in order],
            [_sampling(sampling, schema_of[k]) for k in order],
            [requests[k].adapter for k in order],
        )
        texts = [output.outputs[0] for _, output in sorted(zip(order, outputs, strict=True), key=lambda pair: pair[0])]
        return [Reply(text.text, list(text.token_ids), str(text.finish_reason)) for text in texts]

    def likelihoods(self, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
        """Return the log likelihood of every continuation; the text before them is read once and cached.

        Continuations of one text are asked for token by token (node_prompts.py). A text with a single one, such as a
        rationale, is scored as a prompt: first its text is cached, then only the rest has logits."""
        self.llm.reset_prefix_cache()
        values: list[np.ndarray] = [np.empty(0)] * len(requests)
        for group in groups_that_fit(requests, self._cached_tokens() // 2):
            several = [k for k in group if len(requests[k].continuations) > 1]
            single = [k for k in group if len(requests[k].continuations) == 1]
            rows = node_likelihoods([requests[k] for k in several], self._children) if several else []
            rows += self._as_prompts([requests[k] for k in single]) if single else []
            for k, row in zip([*several, *single], rows, strict=True):
                values[k] = row
        return values

    def _children(self, prompts: list[NodePrompt]) -> list[dict[int, float]]:
        """Return the log probabilities of every prompt's children as its next token."""
        from vllm import SamplingParams, TokensPrompt

        outputs = self._run(
            [TokensPrompt(prompt_token_ids=prompt.ids) for prompt in prompts],
            [
                SamplingParams(max_tokens=1, temperature=0, detokenize=False, logprob_token_ids=prompt.children)
                for prompt in prompts
            ],
            [prompt.adapter for prompt in prompts],
        )
        return [
            {token: output.outputs[0].logprobs[0][token].logprob for token in prompt.children}
            for prompt, output in zip(prompts, outputs, strict=True)
        ]

    def _as_prompts(self, requests: Sequence[ScoringRequest]) -> list[np.ndarray]:
        """Score the only continuation of every request.

        vLLM tells no likelihoods of cached tokens, nor of the first one behind them: the text is cached but for its
        last token, and what another request cached beyond that is read again."""
        from vllm import SamplingParams, TokensPrompt

        def run(ids: list[list[int]], which: Sequence[ScoringRequest], **options: Any) -> list[Any]:
            sampling = SamplingParams(max_tokens=1, temperature=0, detokenize=False, **options)
            prompts = [TokensPrompt(prompt_token_ids=each) for each in ids]
            return self._run(prompts, sampling, [request.adapter for request in which])

        run([request.prefix[:-1] or request.prefix for request in requests], requests)
        whole = [request.prefix + request.continuations[0] for request in requests]
        outputs = run(whole, requests, prompt_logprobs=0, skip_reading_prefix_cache=False)
        values = [_summed(output, request) for output, request in zip(outputs, requests, strict=True)]
        missing = [k for k, value in enumerate(values) if value is None]
        again = [requests[k] for k in missing]
        outputs = run([whole[k] for k in missing], again, prompt_logprobs=0, skip_reading_prefix_cache=True)
        for k, output in zip(missing, outputs, strict=True):
            values[k] = _summed(output, requests[k])
        return [np.array([value]) for value in values]

    def _cached_tokens(self) -> int:
        """Return the number of tokens whose keys and values the engine can hold."""
        cache = self.llm.llm_engine.vllm_config.cache_config
        return int(cache.num_gpu_blocks or 0) * int(cache.block_size)

    def _run(self, prompts: list[Any], sampling: Any, adapters: list[str | None]) -> list[Any]:
        """Call the engine; abort all requests of a failed call, or the next call would wait for them."""
        from vllm.exceptions import VLLMError  # of no common class with Python's own

        try:
            return self.llm.generate(
                prompts, sampling, lora_request=self.lora_requests(adapters), use_tqdm=not self._quiet
            )
        except (ValueError, RuntimeError, VLLMError) as problem:
            engine = self.llm.llm_engine
            engine.abort_request(list(engine.output_processor.request_states), internal=True)
            raise RuntimeError(f"{type(problem).__name__}: {problem}") from problem

    def lora_requests(self, names: Sequence[str | None]) -> Any:
        """Return one LoRA request or None per prompt, or None for an engine without adapters."""
        return [self._loras[name] if name else None for name in names] if self._loras else None


def _sampling(sampling: Sampling, schema: Schema | None) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    tokens = [*sampling.ends, *([sampling.stop] if isinstance(sampling.stop, int) else [])]
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_new_tokens,
        seed=sampling.seed,
        stop=sampling.stop if isinstance(sampling.stop, str) else None,
        stop_token_ids=tokens or None,
        skip_special_tokens=False,
        structured_outputs=StructuredOutputsParams(json=schema) if schema else None,
    )


def _summed(output: Any, request: ScoringRequest) -> float | None:
    """Return the log likelihood of the prompt's last ids; None where the cache reaches into them."""
    if (output.num_cached_tokens or 0) >= len(request.prefix):
        return None
    start = len(request.prefix)
    ids = request.continuations[0]
    return float(sum(output.prompt_logprobs[start + j][token].logprob for j, token in enumerate(ids)))
