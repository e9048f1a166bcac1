"""Times of user-supplied files as seconds since 1970: numbers (seconds, milli-, micro-, nanoseconds) or ISO dates.

The unit of a file is that of its median number. A number that is a time in another unit only (seconds among
milliseconds), a number beyond the year 2200 and text that is no date are no times. Dates without an offset are UTC:

    2009-09-13   2009/09/13   20090913   2009-09-13 12:30   2009-09-13T12:30:15.5Z   2009-09-13 12:30:15+09:00"""

from dataclasses import dataclass

import polars as pl

LAST_SECOND = 7.3e9  # in 2201; later times are not seconds
FIRST_SECOND = 1e8  # in 1973; a smaller number may be a counter, or the zero of an unknown time
UNITS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
_DATE = (
    r"^\s*(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?)?\s*(?:(?:Z|UTC)|([+-])(\d{2}):?(\d{2}))?\s*$"
)
_COMPACT = r"^\s*((?:19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\s*$"


@dataclass(frozen=True)
class Times:
    seconds: pl.Series  # null where there is no time
    form: str  # a unit of UNITS, or dates


def parse_times(texts: pl.Series) -> Times:
    """Return the times of a text column in seconds, and their form; a file may hold numbers or dates."""
    texts = texts.cast(pl.String)
    compact = texts.drop_nulls().str.contains(_COMPACT)
    if len(compact) and compact.all():
        texts = texts.str.replace(_COMPACT, "$1-$2-$3")
    numbers = texts.str.strip_chars().cast(pl.Float64, strict=False)
    only_numbers = numbers.null_count() == texts.null_count()
    dates = numbers.clear(len(numbers)) if only_numbers else _date_seconds(texts)
    numbers = numbers.set(~numbers.is_finite(), None)
    unit = _unit(numbers)
    seconds = numbers / UNITS[unit]
    other_unit = seconds.abs() > LAST_SECOND
    if unit != "seconds":
        other_unit |= numbers.abs().is_between(FIRST_SECOND, LAST_SECOND)
    seconds = seconds.set(other_unit, None)
    form = "dates" if dates.count() > seconds.count() else unit
    return Times(seconds.fill_null(dates).rename("time"), form)


def is_time(text: str) -> bool:
    """Return whether a text is a date, or a number that is a time since 1973."""
    parsed = parse_times(pl.Series([text]))
    return bool(parsed.seconds.count()) and (parsed.form == "dates" or parsed.seconds[0] >= FIRST_SECOND)


def _unit(numbers: pl.Series) -> str:
    """Return the unit in which the median number is a time before 2200."""
    median = numbers.abs().median()
    if not isinstance(median, float):
        return "seconds"
    return next((name for name, scale in UNITS.items() if median <= LAST_SECOND * scale), "seconds")


def _date_seconds(texts: pl.Series) -> pl.Series:
    parts = pl.col("text").str.extract_groups(_DATE).struct
    number = [parts.field(str(k)).cast(pl.Float64, strict=False) for k in range(1, 10)]
    year, month, day, hour, minute, second, _, offset_hour, offset_minute = number
    whole = [part.cast(pl.Int32, strict=False) for part in (year, month, day)]
    joined = pl.format(
        "{}-{}-{}", *(part.cast(pl.String).str.zfill(width) for part, width in zip(whole, (4, 2, 2), strict=True))
    )
    date = joined.str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).cast(pl.Float64) * 86_400
    of_day = hour.fill_null(0) * 3600 + minute.fill_null(0) * 60 + second.fill_null(0)
    sign = pl.when(parts.field("7") == "-").then(-1.0).otherwise(1.0)
    offset = sign * (offset_hour.fill_null(0) * 3600 + offset_minute.fill_null(0) * 60)
    valid = (hour.fill_null(0) < 24) & (minute.fill_null(0) < 60) & (second.fill_null(0) < 61)
    seconds = pl.when(valid).then(date + of_day - offset)
    return pl.DataFrame({"text": texts}).select(seconds=seconds)["seconds"]
