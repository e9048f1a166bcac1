"""Rows that are not what they should be: kept aside with file, line and reason, counted, and too many are an error."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError

SHOWN = 3


@dataclass(frozen=True)
class Reject:
    """A row that was set aside."""

    file: str
    line: int
    reason: str
    detail: str


@dataclass
class Quarantine:
    """Rejects of one or more files, beside the number of rows that were read."""

    read: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, file: Path, line: int, reason: str, detail: str = "") -> None:
        """Set a row aside; `reason` is one of few words, `detail` what is special about this row."""
        self.rejects.append(Reject(str(file), line, reason, detail))

    def reasons(self) -> dict[str, int]:
        """Rejected rows by reason, the most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())

    def write(self, path: Path) -> None:
        """The rejects as JSONL, one per line; an empty file says that none were needed."""
        with files.atomic(path) as draft, draft.open("w", encoding="utf-8") as stream:
            for reject in self.rejects:
                files.append_json(asdict(reject), stream)

    def check(self, limit: float, written_to: Path) -> None:
        """Raise if more than the share `limit` of all rows was rejected."""
        if self.read and len(self.rejects) > limit * self.read:
            shown = "; ".join(f"{count} x {reason}" for reason, count in list(self.reasons().items())[:SHOWN])
            raise InputError(
                f"{len(self.rejects)} of {self.read} rows were rejected, above the limit of {limit:.1%}: {shown}. "
                f"Every one stands in {written_to}; mend the files or raise source.reject_limit"
            )
