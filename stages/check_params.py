"""Validate params.yaml before any expensive stage starts.   python -m stages.check_params
Reads params.yaml; writes data/params.ok, which is equal for all valid params."""

from kitrec.config.sections import validate_params
from kitrec.core import files
from stages.lib import paths, runner
from stages.lib.fingerprints import check_fingerprint


def main() -> None:
    """Validate every section, key and rule; report all problems in one message."""
    check_fingerprint("check_params")
    validate_params()
    files.write_json({"params": "valid"}, paths.PARAMS_OK)


if __name__ == "__main__":
    runner.start(main)
