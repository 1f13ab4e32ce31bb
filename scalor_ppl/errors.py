"""The one error type for mistakes that the user can mend."""


class UserError(Exception):
    """Something in the input is wrong: a path, a video, a setting, a checkpoint.

    The message is one line that names the thing and the remedy. The command line prints it without
    a traceback and exits with code 2; everything else that escapes is a fault of ours (code 1).
    """
