"""The truth of a world as a folder, for the reference rankers and the oracle's teacher alone."""

from pathlib import Path

from kitrec.core import files, tables
from kitrec.synthetic.build import SyntheticWorld
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH


def write_world(built: SyntheticWorld | None, to: Path) -> None:
    """Write the folder; of real users nothing is known, but the folder is there."""
    with files.atomic(to) as folder:
        files.write_json(built.themes if built else {}, folder / "themes.json")
        if built:
            tables.write(built.item_truth, folder / "item_truth.parquet", ITEM_TRUTH)
            tables.write(built.user_truth, folder / "user_truth.parquet", USER_TRUTH)
