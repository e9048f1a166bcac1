"""Public data sets of the quality tables: their folders and sources.   python -m bench.public_data

KITREC_PUBLIC_DATA names a folder with one folder per data set, each with interactions.tsv (user, item, time)."""

import os
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from kitrec.core.errors import InputError

VARIABLE = "KITREC_PUBLIC_DATA"
SOURCES = {
    "beauty_s3rec": "github.com/RUCAIBox/CIKM2020-S3Rec, commit 2a81540, data/Beauty.txt",
    "toys_s3rec": "github.com/RUCAIBox/CIKM2020-S3Rec, commit 2a81540, data/Toys_and_Games.txt",
    "lastfm_s3rec": "github.com/RUCAIBox/CIKM2020-S3Rec, commit 2a81540, data/LastFM.txt",
    "lastfm_ilora": "github.com/AkaliKong/iLoRA, commit 28e4737, data/ref/lastfm and id2name.txt",
    "mlsmall_raw": "grouplens.org/datasets/movielens, ml-latest-small: ratings.csv and movies.csv",
    "amazon_sport_cloth": "github.com/cjx96/DisenCDR, commit 4e6d60b, dataset/sport_cloth and dataset/cloth_sport",
    "douban_book": "github.com/fengzhu1/GA-DTCDR, commit 11a1dc6, Data/douban_book/ratings.dat",
    "douban_music": "github.com/fengzhu1/GA-DTCDR, commit 11a1dc6, Data/douban_music/ratings.dat",
    "amazon_art_office_urllm": "github.com/TingJShen/URLLM, commit 053d739, DG_Final/AO",
    "ml1m_collm": "github.com/zyang1580/CoLLM, commit 48042b1, collm-datasets/ml-1m.zip, with histories and titles",
}


def folder(name: str) -> Path:
    """Return the folder of a data set."""
    root = os.environ.get(VARIABLE)
    if root is None:
        raise InputError(
            f"set {VARIABLE} to the folder of the public data sets; `python -m bench.public_data` lists them"
        )
    path = Path(root) / name
    if not path.is_dir():
        raise InputError(f"{path} is missing: {name} comes from {SOURCES.get(name, 'elsewhere')}")
    return path


def items(name: str) -> pl.DataFrame:
    """Read item_id, title and categories of a data set, in the form of the project's items table."""
    table = pl.read_csv(folder(name) / "items.tsv", separator="\t", infer_schema=False, quote_char=None)
    listed = pl.col("categories").str.split("|").fill_null([])
    return table.select(item_id="item", title="title", categories=listed)


def main() -> None:
    """List the data sets, their sources, and those that are here."""
    table = Table("data set", "comes from", "here")
    root = Path(os.environ.get(VARIABLE, "/nowhere"))
    for name, source in SOURCES.items():
        table.add_row(name, source, "yes" if (root / name).is_dir() else "no")
    Console().print(table)


if __name__ == "__main__":
    main()
