"""Quarantine of invalid input rows: recorded with file, line and reason; too many of them are an error."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kitrec.core import files
from kitrec.core.errors import InputError

REASONS_SHOWN = 3
LINE_LENGTH = 100  # characters of a line that was not understood


@dataclass(frozen=True)
class Reject:
    """A rejected row; `unread` is the beginning of the line of its text that was not understood, if it is one."""

    file: str
    line: int
    reason: str
    detail: str
    unread: str = ""


@dataclass
class Quarantine:
    """Rejected rows of one or more files, and the number of rows read."""

    read: int = 0
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, file: Path, line: int, reason: str, detail: str = "", unread: str = "") -> None:
        """Record a rejected row; `reason` is one of a few categories, `detail` is specific to the row, `unread` the
        line of its text that was not understood."""
        self.rejects.append(Reject(str(file), line, reason, detail, unread.strip()[:LINE_LENGTH]))

    def reasons(self) -> dict[str, int]:
        """Count rejected rows by reason, the most frequent first."""
        return dict(Counter(reject.reason for reject in self.rejects).most_common())

    def unread_lines(self) -> dict[str, int]:
        """Count the lines that were not understood, the most frequent first."""
        return dict(Counter(reject.unread for reject in self.rejects if reject.unread).most_common())

    def write(self, path: Path) -> None:
        """Write the rejected rows as JSONL; the file is empty if there are none."""
        with files.atomic(path) as draft, draft.open("w", encoding="utf-8") as stream:
            for reject in self.rejects:
                files.append_json(asdict(reject), stream)

    def summary(self) -> str:
        """Return the most frequent reasons, and the most frequent lines that were not understood."""
        reasons = "; ".join(f"{count} x {reason}" for reason, count in list(self.reasons().items())[:REASONS_SHOWN])
        lines = [f"  {count} x {line}" for line, count in list(self.unread_lines().items())[:REASONS_SHOWN]]
        return "\n".join([f"{reasons}. Lines that were not understood:", *lines]) if lines else reasons

    def check(self, limit: float, written_to: Path) -> None:
        """Raise if the share of rejected rows exceeds `limit`."""
        if self.read and len(self.rejects) > limit * self.read:
            raise InputError(
                f"{len(self.rejects)} of {self.read} rows were rejected, above the limit of {limit:.1%}: "
                f"{self.summary()}\nAll of them are listed in {written_to}; mend the files or raise source.reject_limit"
            )
