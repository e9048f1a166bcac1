"""The three steps of LLM4CDR on this project's records: an analysis of the domains, a profile of the user, and the same
prompt as all other methods with both notes before its task.

Deviation from other implementations: every step sees the history that all methods see, no template contains an item id,
and the domains are analysed once per pair."""

from collections.abc import Mapping
from typing import Any

from kitrec.core.domains import Domains
from kitrec.prompts.shown_items import Item
from kitrec.prompts.template import Style, segments

_ANALYSIS = """You know readers of {source} and the audience of {target}.

## Task
Say in at most five sentences which interests in {source} carry over to {target}, in which words each domain speaks of
them, and what does not carry over.
"""

_PROFILE = """You describe a reader whose {source} and {target} history you know.

## How {source} and {target} are linked
{analysis}

{history}
## Task
Say in at most five sentences what this reader is likely to enjoy in {target}.
"""


def analysis_prompt(domains: Domains, target: str) -> str:
    """Return the prompt of step 1, once per target."""
    return _ANALYSIS.format(source=domains.label, target=domains.labels[target])


def profile_prompt(record: Mapping[str, Any], items: Mapping[str, Item], style: Style, analysis: str) -> str:
    """Return the prompt of step 2, once per record."""
    history = segments(record, items, style).history
    source, target = style.domain_labels(record)
    return _PROFILE.format(source=source, target=target, analysis=analysis, history=history)
