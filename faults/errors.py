"""Why a row cannot go on."""


class FaultsError(Exception):
    """Something of the harness, or a part under test, did not do what the row needs; the text says what."""


class SkipRow(Exception):  # noqa: N818 - it is no error: the machine lacks something
    """This machine cannot run the row; the text says what is missing."""
