"""Errors that reach the user: mistakes that he can mend, and numbers that went astray."""


class UserError(Exception):
    """Something in the input is wrong: a path, a video, a setting, a checkpoint.

    The message is one line that names the thing and the remedy. The command line prints it without
    a traceback and exits with code 2; everything else that escapes is a fault of ours (code 1).
    """


class NotFiniteError(Exception):
    """Numbers went astray; says which. The command line prints it in one line, with code 1."""


class TrainingError(NotFiniteError):
    """Losses or gradients were not finite for several steps; says which, and what to do."""


class RankLostError(Exception):
    """Another process of a training is gone: the command line prints it in one line, code 1."""


class ElsewhereError(Exception):
    """What is wrong is told by another process of a training; this one ends without a word.

    Attributes:
        code: with which the command line ends, as that other one does.
    """

    def __init__(self, code: int) -> None:
        super().__init__("what is wrong is told by another process of this training")
        self.code = code
