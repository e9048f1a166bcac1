"""Check the whole of params.yaml before anything heavy starts.   python -m stages.check_params
Reads params.yaml; writes data/params.ok, which is the same for all valid params."""

from kitrec.config import profiles
from kitrec.core import files
from stages.lib import paths, runner
from stages.lib.fingerprints import check_fingerprint


def main() -> None:
    """Check params.yaml: every section, every key, every rule; all problems in one message."""
    check_fingerprint("check_params")
    profiles.check()
    files.write_json({"params": "valid"}, paths.PARAMS_OK)


if __name__ == "__main__":
    runner.start(main)
