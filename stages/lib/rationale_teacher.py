"""The teacher of ThinkRec's rationales: the template, or a chat model whose replies are cached."""

from functools import partial

import polars as pl

from kitrec.openai_client.client import complete
from kitrec.openai_client.replies import ReplyCache
from kitrec.thinkrec.conversion import Teacher
from kitrec.thinkrec.params import EndpointTeacherConfig, TemplateTeacherConfig
from kitrec.thinkrec.rationale_teachers import EndpointTeacher, TemplateTeacher
from stages.lib import runner


def load_rationale_teacher(
    p: TemplateTeacherConfig | EndpointTeacherConfig, items: pl.DataFrame, seed: int, *, quiet: bool
) -> Teacher:
    """Return the teacher that the params name; a cached reply is never requested, and paid, again."""
    if isinstance(p, TemplateTeacherConfig):
        return TemplateTeacher(dict(items.select("item_id", "categories").iter_rows()))
    replies = ReplyCache(runner.WORK / "replies")
    return EndpointTeacher(p.endpoint, partial(complete, endpoint=p.endpoint, cache=replies, quiet=quiet), seed)
