"""Scoring by a stock vLLM engine: `prompt_embeds` go in, log probabilities of Yes and No come out.

vLLM returns log probabilities and no logits, so P(Yes) of an engine is that of Yes against No. An objective on the
logit of Yes alone is only scored through transformers, and so are groups, whose adapters are mixed per user.

Embeddings are large: a prompt of 3,500 tokens for a base of 14B parameters is 36 MB, a shard of 100 records of 100
candidates would be 360 GB, in float32 twice as much. So prompts are composed and embedded a part at a time, as many as
EMBEDDED_BYTES hold, and the base's embedding table is all that is loaded beside the engine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from kitrec.core.errors import InputError
from kitrec.llm.base.embeddings import load_embeddings
from kitrec.llm.base.fetching import fetch
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.base.precision import compute_dtype
from kitrec.llm.finetuning.adapters import check_adapter
from kitrec.llm.generation.engine_memory import check_fits
from kitrec.llm.generation.engine_options import configure_process, engine_options, lora_options
from kitrec.llm.generation.params import Engine
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.prompt_composer import ComposedPrompt, PromptComposer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import VerdictTokens, verdict_tokens
from kitrec.thinkrec.storage import GENERAL, adapter_folder, load_projected

EMBEDDED_BYTES = 2 * 2**30  # of the prompts of an engine call: some 60 long ones of a 14B base


class YesNoEngine:
    """A vLLM engine of one base with one adapter."""

    def __init__(self, base: PinnedBase, engine: Engine, *, adapter: Path, seed: int) -> None:
        fetch(base)  # before the process is configured, which is offline from then on
        configure_process(engine)
        from vllm import LLM  # only after the process is configured: vLLM reads its environment on import
        from vllm.lora.request import LoRARequest

        config = check_adapter(adapter, base)
        rank = config["r"]
        check_fits(base, engine, 1, rank)
        self._max_tokens = engine.max_model_len - 1  # one is left for the answer
        self._lora = LoRARequest("thinkrec", 1, str(adapter))
        loras = lora_options(1, rank, config["target_modules"])
        self._llm = LLM(**engine_options(base, engine, seed), **loras, enable_prompt_embeds=True)

    def log_probabilities(self, prompts: Sequence[torch.Tensor], answers: list[int]) -> np.ndarray:
        """Return the log probability [prompts, answers] of each answer token as the first after embeddings [T, h]."""
        from vllm import SamplingParams
        from vllm.inputs import EmbedsPrompt

        if (longest := max(map(len, prompts), default=0)) > self._max_tokens:
            raise InputError(
                f"a prompt has {longest} tokens, the engine takes {self._max_tokens}: raise "
                "thinkrec.scoring.engine.max_model_len, or lower thinkrec.prompt.history_length"
            )
        sampling = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=answers, detokenize=False)
        inputs = [EmbedsPrompt(prompt_embeds=rows.cpu()) for rows in prompts]
        outputs = self._llm.generate(inputs, sampling, lora_request=self._lora, use_tqdm=False)
        logprobs: list[Any] = [(output.outputs[0].logprobs or [])[0] for output in outputs]
        return np.array([[of_prompt[token].logprob for token in answers] for of_prompt in logprobs])


@dataclass(frozen=True)
class ServedStage:
    """The model of a stage on an engine."""

    engine: YesNoEngine
    table: nn.Module
    projector: Projector | None
    verdict_tokens: VerdictTokens
    groups: Mapping[str, int] = field(default_factory=dict)  # always empty: an engine mixes no adapters

    def scorer(self, composer: PromptComposer, p: Objective) -> "EngineScorer":
        """Return the scorer of prompts by this composer."""
        if p.logit != "yes_minus_no":
            raise ValueError("vLLM returns no logit of Yes alone")
        return EngineScorer(self, composer)

    def log_probabilities(self, prompts: Iterable[ComposedPrompt]) -> np.ndarray:
        """Return the log probabilities [prompts, 2] of Yes and of No as the first token of the answer."""
        answers = [self.verdict_tokens.yes, self.verdict_tokens.no]
        score = partial(self.engine.log_probabilities, answers=answers)
        parts = list(map(score, self._embedded(prompts)))  # no name holds a part while the next one is embedded
        return np.concatenate([np.empty((0, 2)), *parts])

    @torch.inference_mode()
    def _embedded(self, prompts: Iterable[ComposedPrompt]) -> Iterator[list[torch.Tensor]]:
        """Yield the embeddings [T, h] of as many prompts as EMBEDDED_BYTES hold, at least one."""
        rows: list[torch.Tensor] = []
        size = 0
        for prompt in prompts:
            of_prompt = embed([prompt], self.table, self.projector, "right").rows[0]
            if rows and size + of_prompt.nbytes > EMBEDDED_BYTES:
                yield rows
                rows, size = [], 0
            rows.append(of_prompt)
            size += of_prompt.nbytes
        if rows:
            yield rows


@dataclass(frozen=True)
class EngineScorer:
    """Scores lists of records by P(Yes) on an engine."""

    stage: ServedStage
    composer: PromptComposer

    def probabilities(self, lists: Sequence[Sequence[Record]], mixtures: np.ndarray | None = None) -> list[np.ndarray]:
        """Return P(Yes) of all lists; `mixtures` must be None."""
        if mixtures is not None:
            raise ValueError("a vLLM engine mixes no adapters")
        prompts = (self.composer.compose(record) for records in lists for record in records)
        log_probs = self.stage.log_probabilities(prompts)
        ends = np.cumsum([len(records) for records in lists])[:-1]
        return np.split(expit(log_probs[:, 0] - log_probs[:, 1]), ends)


def load_served(base: PinnedBase, tokenizer: Any, engine: Engine, folder: Path, stage: str, seed: int) -> ServedStage:
    """Load an engine with the adapter of a stage, and beside it the base's embedding table, for the prompts."""
    projector = None if stage == GENERAL else load_projected(folder)
    adapter = adapter_folder(folder, GENERAL, stage)
    yes_no_engine = YesNoEngine(base, engine, adapter=adapter, seed=seed)
    table = load_embeddings(base, getattr(torch, compute_dtype(engine.dtype)))
    return ServedStage(yes_no_engine, table, projector, verdict_tokens(Encoder(tokenizer)))
