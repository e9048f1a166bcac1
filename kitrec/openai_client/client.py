"""Requests to an OpenAI-compatible server: those without a cached reply are sent concurrently, within a budget.

Retries with backoff are the `openai` library's own (connection errors, timeouts, 408, 409, 429, 5xx). The cost of all
cached replies plus the maximum cost of the calls in flight never exceeds the budget. It cannot include what no client
sees: a server may charge for a call whose reply never arrived, because it timed out or this process was killed.
The key is read from OPENAI_API_KEY only."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from kitrec.core.errors import InputError
from kitrec.openai_client.completion import parse_completion
from kitrec.openai_client.params import Endpoint
from kitrec.openai_client.replies import Reply, ReplyCache
from kitrec.openai_client.request import ChatRequest, max_cost

if TYPE_CHECKING:  # the library takes a second to import: only when a request is sent
    from openai import APIError, OpenAI

KEY = "OPENAI_API_KEY"
NO_KEY = "none"
RESUME = "all replies received so far are kept; run again to continue"


def complete(requests: Sequence[ChatRequest], endpoint: Endpoint, cache: ReplyCache, *, quiet: bool) -> list[Reply]:
    """Return replies in the order of the requests; equal requests share one reply."""
    missing = {request.name: request for request in requests if request not in cache}
    if missing:
        _send_all(list(missing.values()), endpoint, cache, quiet=quiet)
    return [cache.get(request) for request in requests]


def _send_all(requests: list[ChatRequest], endpoint: Endpoint, cache: ReplyCache, *, quiet: bool) -> None:
    """Send requests concurrently and cache their replies; after an error, calls in flight are still cached."""
    from openai import OpenAI

    url, key = _address(endpoint, len(requests), cache)
    pending, spent = deque(requests), cache.total_cost()
    in_flight: dict[Future[Reply], float] = {}
    with (
        OpenAI(base_url=url, api_key=key, max_retries=endpoint.retries, timeout=endpoint.timeout) as client,
        Progress(disable=quiet) as progress,
        ThreadPoolExecutor(endpoint.max_concurrency) as threads,
    ):
        task = progress.add_task(f"requests to {endpoint.model}", total=len(requests))
        while pending or in_flight:
            while pending and len(in_flight) < endpoint.max_concurrency:
                cost = max_cost(pending[0], endpoint)
                if cost and spent + sum(in_flight.values()) + cost > endpoint.budget:  # free calls need no budget
                    break
                in_flight[threads.submit(_send, client, pending.popleft(), endpoint, cache)] = cost
            if not in_flight:
                raise InputError(_budget_exhausted(spent, pending, endpoint, cache))
            for done in wait(in_flight, return_when=FIRST_COMPLETED).done:
                del in_flight[done]
                spent += done.result().cost
                progress.advance(task)


def _send(client: "OpenAI", request: ChatRequest, endpoint: Endpoint, cache: ReplyCache) -> Reply:
    """Send one request and write its reply to disk before anything else happens."""
    from openai import APIError

    try:
        raw = client.chat.completions.with_raw_response.create(**_body(request, endpoint))
    except APIError as problem:
        raise InputError(f"{endpoint.url} {_explanation(problem, endpoint)}; {RESUME}") from None
    reply = parse_completion(raw.content, request, endpoint)
    cache.put(request, reply)
    return reply


def _body(request: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """Return a request in the format of the API."""
    schema = {"name": request.schema["title"], "strict": True, "schema": request.schema}
    return {
        "model": request.model,
        "messages": request.messages,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": request.temperature,
        "seed": request.seed,
        endpoint.max_tokens_parameter: request.max_tokens,
    }


def _address(endpoint: Endpoint, missing: int, cache: ReplyCache) -> tuple[str, str]:
    """Return (url, key), or raise if no request can be sent."""
    if endpoint.url is None:
        raise InputError(
            f"{missing} replies of {endpoint.model} are not cached in {cache.folder} and endpoint.url is null: set "
            "it to a server that has the model, or fetch cached replies by `dvc pull`"
        )
    key = os.environ.get(KEY) or (NO_KEY if endpoint.is_local else "")
    if not key:
        raise InputError(
            f"{KEY} is not set: `export {KEY}=...` with a key of {endpoint.url}, or the word {NO_KEY} if it needs none"
        )
    return endpoint.url, key


def _budget_exhausted(spent: float, pending: Sequence[ChatRequest], endpoint: Endpoint, cache: ReplyCache) -> str:
    following, total = max_cost(pending[0], endpoint), sum(max_cost(request, endpoint) for request in pending)
    return (
        f"endpoint.budget is {endpoint.budget:g}: the {len(cache)} replies in {cache.folder} cost {spent:.6g}, the "
        f"next may cost {following:.6g}, and all {len(pending)} remaining requests {total:.6g}. Paid replies are kept: "
        "raise endpoint.budget, or request less, and run again to continue"
    )


def _explanation(problem: "APIError", endpoint: Endpoint) -> str:
    """Return the error as the rest of a sentence that begins with the server's address."""
    import openai

    match problem:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"rejects the key: set {KEY} to one that may use {endpoint.model}"
        case openai.NotFoundError():
            return f"has no model {endpoint.model} or no chat API: check endpoint.model, and that url ends in /v1"
        case openai.RateLimitError():
            return f"still limits the rate after {endpoint.retries} retries ({problem.message}): lower max_concurrency"
        case openai.APITimeoutError():
            return f"sent no reply within {endpoint.timeout:g} s, {endpoint.retries} retries included: raise timeout"
        case openai.APIConnectionError():
            return f"cannot be reached ({problem.__cause__ or problem.message}): is the server running?"
        case _:
            return f"rejects a request: {problem.message}"
