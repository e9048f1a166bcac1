"""Requests to an OpenAI-compatible server: those without a kept reply are asked, side by side, for limited money.

Retries with backoff are the `openai` library's own (connection errors, timeouts, 408, 409, 429, 5xx). The sum of what
all kept replies cost and of what the calls in flight may cost at worst never exceeds the limit. What no client can see
is not in it: a server may charge for a try whose reply never came, because it timed out or this process was killed.
The key comes from OPENAI_API_KEY and from nowhere else."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from kitrec.core.errors import InputError
from kitrec.openai_client.completion import reply_of
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import Replies, Reply
from kitrec.openai_client.request import ChatRequest, most_money

if TYPE_CHECKING:  # the library takes a second to import: only where something is asked
    from openai import APIError, OpenAI

KEY = "OPENAI_API_KEY"
NO_KEY = "none"
KEPT = "all replies that came are kept, run again and it goes on"


def answered(requests: Sequence[ChatRequest], endpoint: Endpoint, replies: Replies, *, quiet: bool) -> list[Reply]:
    """The replies in the order of the requests; equal requests have one reply."""
    missing = {asked.name: asked for asked in requests if asked not in replies}
    if missing:
        _ask_all(list(missing.values()), endpoint, replies, quiet=quiet)
    return [replies.find(asked) for asked in requests]


def _ask_all(requests: list[ChatRequest], endpoint: Endpoint, replies: Replies, *, quiet: bool) -> None:
    """Ask and keep, as many at once as may be; the first error ends it when the calls in flight are kept."""
    from openai import OpenAI

    url, key = _address(endpoint, len(requests), replies)
    waiting, spent = deque(requests), replies.spent()
    flying: dict[Future[Reply], float] = {}
    with (
        OpenAI(base_url=url, api_key=key, max_retries=endpoint.retries, timeout=endpoint.timeout) as client,
        Progress(disable=quiet) as progress,
        ThreadPoolExecutor(endpoint.at_once) as threads,
    ):
        task = progress.add_task(f"asking {endpoint.model}", total=len(requests))
        while waiting or flying:
            while waiting and len(flying) < endpoint.at_once:
                worst = most_money(waiting[0], endpoint)
                if worst and spent + sum(flying.values()) + worst > endpoint.limit:  # what is free needs no money left
                    break
                flying[threads.submit(_ask, client, waiting.popleft(), endpoint, replies)] = worst
            if not flying:
                raise InputError(_limit_reached(spent, waiting, endpoint, replies))
            for done in wait(flying, return_when=FIRST_COMPLETED).done:
                del flying[done]
                spent += done.result().cost
                progress.advance(task)


def _ask(client: "OpenAI", asked: ChatRequest, endpoint: Endpoint, replies: Replies) -> Reply:
    """One call; its reply is on the disk before anything else happens."""
    from openai import APIError

    try:
        raw = client.chat.completions.with_raw_response.create(**_body(asked, endpoint))
    except APIError as problem:
        raise InputError(f"{endpoint.url} {_said(problem, endpoint)}; {KEPT}") from None
    reply = reply_of(raw.content, asked, endpoint)
    replies.keep(asked, reply)
    return reply


def _body(asked: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """A request as the API wants it."""
    schema = {"name": asked.schema["title"], "strict": True, "schema": asked.schema}
    return {
        "model": asked.model,
        "messages": asked.messages,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": asked.temperature,
        "seed": asked.seed,
        endpoint.token_limit: asked.max_tokens,
    }


def _address(endpoint: Endpoint, missing: int, replies: Replies) -> tuple[str, str]:
    """(url, key), or why nothing can be asked."""
    if endpoint.url is None:
        raise InputError(
            f"{missing} replies of {endpoint.model} are not kept in {replies.folder} and endpoint.url is null: set it "
            "to a server that has the model, or fetch the kept replies by `dvc pull`"
        )
    key = os.environ.get(KEY) or (NO_KEY if endpoint.is_here else "")
    if not key:
        raise InputError(
            f"{KEY} is not set: `export {KEY}=...` with a key of {endpoint.url}, or the word {NO_KEY} if it wants none"
        )
    return endpoint.url, key


def _limit_reached(spent: float, waiting: Sequence[ChatRequest], endpoint: Endpoint, replies: Replies) -> str:
    following, worst = most_money(waiting[0], endpoint), sum(most_money(asked, endpoint) for asked in waiting)
    return (
        f"endpoint.limit is {endpoint.limit:g}: the {len(replies)} replies in {replies.folder} cost {spent:.6g}, the "
        f"next one may cost {following:.6g}, the {len(waiting)} that are still to be asked {worst:.6g}. What was paid "
        "is kept: raise endpoint.limit, or ask for less, and run again; it goes on here"
    )


def _said(problem: "APIError", endpoint: Endpoint) -> str:
    """What went wrong, as the rest of a sentence that begins with the server's address."""
    import openai

    match problem:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"refuses the key: set {KEY} to one that may use {endpoint.model}"
        case openai.NotFoundError():
            return f"has no model {endpoint.model}, or no chat there: check endpoint.model, and that url ends in /v1"
        case openai.RateLimitError():
            return f"still says that it is too much after {endpoint.retries} retries ({problem.message}): lower at_once"
        case openai.APITimeoutError():
            return f"gave no reply within {endpoint.timeout:g} s, {endpoint.retries} retries included: raise timeout"
        case openai.APIConnectionError():
            return f"cannot be reached ({problem.__cause__ or problem.message}): is the server running?"
        case _:
            return f"refuses a request: {problem.message}"
