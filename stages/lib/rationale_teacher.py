"""Who explains likes and dislikes to ThinkRec: the template, or a chat model whose replies are kept."""

from functools import partial

import polars as pl

from kitrec.openai_client.client import complete
from kitrec.openai_client.replies import ReplyCache
from kitrec.thinkrec.conversion import Teacher
from kitrec.thinkrec.params import AskedTeacher, Template
from kitrec.thinkrec.rationale_teachers import EndpointTeacher, TemplateTeacher
from stages.lib import runner


def teacher_of(p: Template | AskedTeacher, items: pl.DataFrame, seed: int, *, quiet: bool) -> Teacher:
    """Whom the params name; what a chat model once answered is never asked, and paid, again."""
    if isinstance(p, Template):
        return TemplateTeacher(dict(items.select("item_id", "categories").iter_rows()))
    replies = ReplyCache(runner.WORK / "replies")
    return EndpointTeacher(p.endpoint, partial(complete, endpoint=p.endpoint, cache=replies, quiet=quiet), seed)
