"""Pin the base model.   python -m stages.pin_base
Reads the folder of base.path (or nothing, for a hub name with a revision); writes models/base/base.json."""

from kitrec.core import params
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import pin, write_pinned
from stages.lib import runner


def main() -> None:
    """Pin the base model, so that all later stages notice when it changes."""
    write_pinned(pin(params.load(Base, "base")))


if __name__ == "__main__":
    runner.start(main)
