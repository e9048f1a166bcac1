"""Sections `rationales` and `probes` of params.yaml."""

from typing import Literal

from kitrec.core.params import section
from kitrec.llm.base.params import Count


@section
class Rationales:
    methods: list[str]


@section
class Probes:
    precision: list[str]
    orders: list[str]
    memory: list[Literal["base"]]
    records: Count
