"""Errors that a user can cause and mend: bad params, bad files, a full disk. The message says what to do."""


class InputError(Exception):
    """Invalid input from outside the code; stages print the message and exit with 1, without a traceback."""
