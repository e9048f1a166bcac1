"""The same prompts on a stock vLLM engine: `prompt_embeds` go in, log probabilities of Yes and No come out.

vLLM tells log probabilities and no logits, so P(Yes) by an engine is that of Yes against No; an objective on the logit
of Yes alone is only scored through transformers, and so are groups, whose adapters a reader mixes by weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from scipy.special import expit
from torch import nn
from transformers import AutoModelForCausalLM

from kitrec.core.errors import InputError
from kitrec.llm.base.memory_plan import check_fits
from kitrec.llm.base.params import PROJECTIONS
from kitrec.llm.base.pinning import PinnedBase
from kitrec.llm.finetuning.adapters import check_adapter
from kitrec.llm.generation.engine_options import configure_process, engine_options, lora_options
from kitrec.llm.generation.params import Engine
from kitrec.prompts.tokens import Encoder
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.params import Objective
from kitrec.thinkrec.projector import Projector
from kitrec.thinkrec.prompt_composer import Composed, Composer
from kitrec.thinkrec.records import Record
from kitrec.thinkrec.samples import Verdicts, verdicts
from kitrec.thinkrec.storage import GENERAL, adapter_folder, load_projected


class ServedScorer:
    """log_probabilities(prompts) of one base with one adapter."""

    def __init__(self, base: PinnedBase, engine: Engine, *, adapter: Path, seed: int) -> None:
        configure_process(engine)
        from vllm import LLM  # only after the process is configured: vLLM reads its environment on import
        from vllm.lora.request import LoRARequest

        rank = check_adapter(adapter, base)["r"]
        check_fits(base, engine, 1, rank)
        self._longest = engine.max_model_len - 1  # one is left to the answer
        self._lora = LoRARequest("thinkrec", 1, str(adapter))
        loras = lora_options(1, rank, PROJECTIONS)
        self._llm = LLM(**engine_options(base, engine, seed), **loras, enable_prompt_embeds=True)

    def log_probabilities(self, prompts: Sequence[torch.Tensor], answers: list[int]) -> np.ndarray:
        """[prompts, answers] of each answer's token as the first after embeddings [T, h]."""
        from vllm import SamplingParams
        from vllm.inputs import EmbedsPrompt

        if (longest := max(map(len, prompts), default=0)) > self._longest:
            raise InputError(
                f"a prompt has {longest} tokens, the engine takes {self._longest}: raise "
                "thinkrec.scoring.engine.max_model_len, or lower thinkrec.prompt.history"
            )
        sampling = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=answers, detokenize=False)
        asked = [EmbedsPrompt(prompt_embeds=own.cpu()) for own in prompts]
        outputs = self._llm.generate(asked, sampling, lora_request=self._lora, use_tqdm=False)
        told: list[Any] = [(output.outputs[0].logprobs or [])[0] for output in outputs]
        return np.array([[own[token].logprob for token in answers] for own in told])


@dataclass(frozen=True)
class Served:
    """What a stage left, ready to answer by an engine."""

    scorer: ServedScorer
    table: nn.Module
    projector: Projector | None
    verdicts: Verdicts
    groups: Mapping[str, int] = field(default_factory=dict)  # none: whose adapters are mixed is not served

    def asker(self, composer: Composer, p: Objective) -> "ServedAsker":
        """Who answers prompts that look so."""
        if p.logit != "yes_minus_no":
            raise ValueError("vLLM tells no logit of Yes alone")
        return ServedAsker(self, composer)

    def log_probabilities(self, prompts: Sequence[Composed]) -> np.ndarray:
        """[prompts, 2] log probabilities of Yes and of No as the first token of the answer."""
        with torch.inference_mode():
            rows = [embed([own], self.table, self.projector, "right").rows[0] for own in prompts]
        return self.scorer.log_probabilities(rows, [self.verdicts.yes, self.verdicts.no])


@dataclass(frozen=True)
class ServedAsker:
    """P(Yes) of lists of records, by an engine."""

    served: Served
    composer: Composer

    def probabilities(self, lists: Sequence[Sequence[Record]], weights: np.ndarray | None = None) -> list[np.ndarray]:
        """One engine call for all; nobody has `weights` here."""
        if weights is not None:
            raise ValueError("a vLLM engine mixes no adapters")
        said = self.served.log_probabilities([self.composer.compose(own) for records in lists for own in records])
        return np.split(expit(said[:, 0] - said[:, 1]), np.cumsum([len(own) for own in lists])[:-1])


def load_served(base: PinnedBase, tokenizer: Any, engine: Engine, folder: Path, stage: str, seed: int) -> Served:
    """An engine with the adapter of a stage. The base's embeddings are read beside it: prompts are made of them."""
    projector = None if stage == GENERAL else load_projected(folder)
    adapter = adapter_folder(folder, GENERAL, stage)
    scorer = ServedScorer(base, engine, adapter=adapter, seed=seed)
    return Served(scorer, _embeddings(base, engine), projector, verdicts(Encoder(tokenizer)))


def _embeddings(base: PinnedBase, engine: Engine) -> nn.Module:
    transformers.logging.disable_progress_bar()
    llm = AutoModelForCausalLM.from_pretrained(
        base.path,
        revision=base.revision,
        dtype=getattr(torch, engine.dtype),
        device_map="cpu",
        use_safetensors=True,
        trust_remote_code=False,
    )
    table: nn.Module = llm.get_input_embeddings()
    return table
