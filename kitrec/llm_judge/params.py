"""Section `judge` of params.yaml."""

from typing import Annotated

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.openai_client.params import Endpoint

Count = Annotated[int, Field(ge=1)]


@section
class Judge:
    methods: list[str]
    pairs: list[tuple[str, str]]
    records_per_type: Count
    repeats: Count
    max_attempts: Count
    endpoint: Endpoint

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(set(self.methods)) == len(self.methods), "methods names a method twice")
        for first, second in self.pairs:
            require(first != second, f"pairs: {first} is judged against itself")
            for name in (first, second):
                require(name in self.methods, f"pairs: {name} is not judged; add it to methods")
        unordered = {frozenset(pair) for pair in self.pairs}
        require(len(unordered) == len(self.pairs), "pairs: two methods are judged against each other twice")
        done()
