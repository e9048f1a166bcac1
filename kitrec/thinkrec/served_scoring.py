"""The same prompts on a stock vLLM engine: `prompt_embeds` go in, log probabilities of Yes and No come out.

vLLM tells log probabilities and no logits, so P(Yes) by an engine is that of Yes against No; an objective on the logit
of Yes alone is only scored through transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kitrec.llm.engine_options import configure_process, engine_options, lora_options
from kitrec.llm.method_params import Engine
from kitrec.llm.pinned_base import PinnedBase
from kitrec.llm.settings import PROJECTIONS
from kitrec.thinkrec.composer import Composed
from kitrec.thinkrec.injection import embed
from kitrec.thinkrec.samples import Verdicts


class ServedScorer:
    """log_probabilities(prompts) of one base, with one adapter or without."""

    def __init__(self, base: PinnedBase, engine: Engine, *, adapter: Path | None, rank: int, seed: int) -> None:
        configure_process(engine)
        from vllm import LLM  # only after the process is configured: vLLM reads its environment on import
        from vllm.lora.request import LoRARequest

        self._lora = LoRARequest("thinkrec", 1, str(adapter)) if adapter else None
        loras = lora_options(1 if adapter else 0, rank, PROJECTIONS)
        self._llm = LLM(**engine_options(base, engine, seed), **loras, enable_prompt_embeds=True)

    def log_probabilities(
        self, prompts: Sequence[Composed], table: nn.Module, projector: nn.Module | None, verdicts: Verdicts
    ) -> np.ndarray:
        """[prompts, 2] log probabilities of Yes and of No as the first token of the answer."""
        from vllm import SamplingParams
        from vllm.inputs import EmbedsPrompt

        with torch.inference_mode():
            rows = [embed([own], table, projector, "right").rows[0] for own in prompts]
        wanted = [verdicts.yes, verdicts.no]
        sampling = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=wanted, detokenize=False)
        asked = [EmbedsPrompt(prompt_embeds=own.cpu()) for own in rows]
        outputs = self._llm.generate(asked, sampling, lora_request=self._lora, use_tqdm=False)
        told: list[Any] = [(output.outputs[0].logprobs or [])[0] for output in outputs]
        return np.array([[own[token].logprob for token in wanted] for own in told])
