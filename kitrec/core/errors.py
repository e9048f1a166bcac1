"""The one error a user can cause: bad params, bad files, a full disk. Its text says what to do."""


class InputError(Exception):
    """Something outside the code is wrong. Stages print the message and exit with 1, without a traceback."""
