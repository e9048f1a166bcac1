"""kitrec: does a fine-tuned LLM carry a user's Books history over to another domain? Results as functions.

    run = kitrec.load_run()             # a project folder in which the pipeline has run
    run.scores                          # a row per method, kind of ranking and test record (polars)
    run.compare("kitrec_full", "sasrec")
    run.user(run.scores["user_id"][0])

These names are stable. They are imported when they are used, so `import kitrec` costs nothing."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kitrec.run import Run, User, load_run

__all__ = ["Run", "User", "load_run"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'kitrec' has no attribute {name!r}; it offers {', '.join(__all__)}")
    from kitrec import run  # polars and scipy take a second

    return getattr(run, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
