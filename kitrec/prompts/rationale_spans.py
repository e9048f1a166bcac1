"""Where a reply's rationale stands: the ids before it and its own, as one text for the tokenizer."""

import json
import re
from collections.abc import Sequence

from kitrec.prompts.tokens import Encoder, split_thought

_RATIONALE = re.compile(r'"rationale"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


def rationale_in_context(
    encoder: Encoder, prompt: Sequence[int], text: str, rationale: str, *, thinking: bool
) -> tuple[list[int], list[int]] | None:
    """(prompt and reply up to the rationale, the rationale); None where the reply does not spell it out."""
    thought, rest = split_thought(text)
    found = next((m for m in _RATIONALE.finditer(rest) if _says(m.group(1), rationale)), None)
    if found is None:
        return None
    before, whole = encoder.plain(rest[: found.start(1)]), encoder.plain(rest[: found.end(1) + 1])
    seam = next((k for k, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
    opened = [encoder.think, *encoder.plain(thought), encoder.end_think] if thinking else []
    return [*prompt, *opened, *whole[:seam]], whole[seam:]


def _says(raw: str, rationale: str) -> bool:
    try:
        return json.loads(f'"{raw}"') == rationale
    except ValueError:
        return False
