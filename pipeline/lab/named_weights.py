"""Name the option of a weights file that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError, naming
from s2cnet import WeightsError


@contextmanager
def naming_weights(field: str) -> Iterator[None]:
    """Do what `pipeline.errors.naming` does, for a WeightsError of the block too."""
    with naming(field):
        try:
            yield
        except WeightsError as error:
            raise UsageError(str(error)) from error
