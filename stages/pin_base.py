"""Pin the base model.   python -m stages.pin_base
Reads the folders of base.path and base.served (nothing of hub names with a revision); writes models/base/base.json, on
which training depends, and models/base/served.json, on which answers and scores depend too."""

from kitrec.core import params
from kitrec.llm.base.loading import check_served
from kitrec.llm.base.params import BaseWithServed
from kitrec.llm.base.pinning import SERVED, pin, pin_served, write_pinned
from stages.lib import runner


def main() -> None:
    """Pin the base model and the weights that are served, so that all later stages notice when they change."""
    p = params.load(BaseWithServed, "base")
    base, served = pin(p), pin_served(p)
    if p.served:
        check_served(base, served)
    write_pinned(base)
    write_pinned(served, SERVED)


if __name__ == "__main__":
    runner.start(main)
