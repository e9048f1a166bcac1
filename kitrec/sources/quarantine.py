"""Quarantine of invalid input rows: recorded with file, line and reason; too many of them are an error."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError

REASONS_SHOWN = 3


@dataclass(frozen=True)
class Reject:
    """A rejected row."""

    file: str
    line: int
    reason: str
    detail: str


@dataclass
class Quarantine:
    """Rejected rows of one or more files, and the number of rows read."""

    read: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, file: Path, line: int, reason: str, detail: str = "") -> None:
        """Record a rejected row; `reason` is one of a few categories, `detail` is specific to the row."""
        self.rejects.append(Reject(str(file), line, reason, detail))

    def reasons(self) -> dict[str, int]:
        """Count rejected rows by reason, the most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())

    def write(self, path: Path) -> None:
        """Write the rejected rows as JSONL; the file is empty if there are none."""
        with files.atomic(path) as draft, draft.open("w", encoding="utf-8") as stream:
            for reject in self.rejects:
                files.append_json(asdict(reject), stream)

    def check(self, limit: float, written_to: Path) -> None:
        """Raise if the share of rejected rows exceeds `limit`."""
        if self.read and len(self.rejects) > limit * self.read:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in list(self.reasons().items())[:REASONS_SHOWN])
            raise InputError(
                f"{len(self.rejects)} of {self.read} rows were rejected, above the limit of {limit:.1%}: {reasons}. "
                f"All of them are listed in {written_to}; mend the files or raise source.reject_limit"
            )
