"""Sections `source`, `data`, `users` and `candidates` of params.yaml: input data, sampled users, candidate lists."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from kitrec.core.params import rules, section
from kitrec.openai_client.params import Endpoint

CandidateSet = Literal["A", "B"]
SourceKind = Literal["synthetic", "kitrec", "hub", "amazon", "tables"]
Untitled = Literal["keep", "show_id", "drop"]
Overlap = Literal["stop", "report", "drop"]
Leaks = Literal["stop", "report"]
Music = Literal["CDs_and_Vinyl", "Digital_Music"]
Count = Annotated[int, Field(ge=1)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


@section
class Hub:
    owner: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    revisions: dict[str, Commit]


@section
class TemplateRationales:
    kind: Literal["categories", "evidence", "none"]


@section
class EndpointRationales:
    kind: Literal["endpoint"]
    endpoint: Endpoint


AnyRationales = Annotated[TemplateRationales | EndpointRationales, Field(discriminator="kind")]


@section
class Source:
    kind: SourceKind
    reject_limit: Annotated[float, Field(ge=0, lt=1)]
    limit: Annotated[int, Field(ge=2)] | None  # a training and a development user of each type
    overlap: Overlap
    leaks: Leaks
    music: Music
    rationales: AnyRationales
    untitled: Untitled
    hub: Hub


@section
class Data:
    candidate_set: CandidateSet
    test_sets: Annotated[list[CandidateSet], Field(min_length=1)]

    def __post_init__(self) -> None:
        require, done = rules()
        require(len(set(self.test_sets)) == len(self.test_sets), "test_sets names a set twice")
        require(
            self.candidate_set in self.test_sets,
            f"test_sets {self.test_sets} must hold candidate_set {self.candidate_set}: the headline results are on it",
        )
        done()


@section
class Users:
    train: Count
    preference: Annotated[int, Field(ge=0)]
    test: Count
    development_share: Annotated[float, Field(gt=0, lt=1)]
    min_source_items: Count
    cut: bool

    @property
    def per_type(self) -> int:
        """Number of users needed of each type."""
        return self.train + self.preference + self.test

    def limited(self, limit: int | None) -> "Users":
        """Return the sizes with at most `limit` users of each type in a role."""
        if limit is None:
            return self
        return replace(self, **{role: min(getattr(self, role), limit) for role in ("train", "preference", "test")})


@section
class Candidates:
    count: Annotated[int, Field(ge=2)]
    same_category: Annotated[int, Field(ge=0)]
    neighbours: Annotated[int, Field(ge=0)]
    popularity_matched: Annotated[int, Field(ge=0)]

    def __post_init__(self) -> None:
        require, done = rules()
        hard = self.same_category + self.neighbours + self.popularity_matched
        require(
            hard < self.count,
            f"the hard negatives ({hard}) must be fewer than count ({self.count}), which includes the ground truth",
        )
        done()
