"""Who explains likes and dislikes to ThinkRec: the template, or a chat model whose replies are kept."""

from functools import partial

import polars as pl

from kitrec.chat.client import answered
from kitrec.chat.replies import Replies
from kitrec.thinkrec.converting import Teacher
from kitrec.thinkrec.params import AskedTeacher, Template
from kitrec.thinkrec.teachers import EndpointTeacher, TemplateTeacher
from stages import entry


def teacher_of(p: Template | AskedTeacher, items: pl.DataFrame, seed: int, *, quiet: bool) -> Teacher:
    """Whom the params name; what a chat model once answered is never asked, and paid, again."""
    if isinstance(p, Template):
        return TemplateTeacher(dict(items.select("item_id", "categories").iter_rows()))
    replies = Replies(entry.WORK / "replies")
    return EndpointTeacher(p.endpoint, partial(answered, endpoint=p.endpoint, replies=replies, quiet=quiet), seed)
