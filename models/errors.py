"""Every error a user can meet, and the exit code of each.

::

    EdgeclsError                 1
    ├── UsageError               2   options that do not fit together
    ├── MissingExtra             3   an optional dependency is absent or broken
    ├── SourceError              4   a video source cannot be used
    │   └── SourceNotFound           … also a FileNotFoundError
    ├── CheckpointError          5   the file to convert cannot be used
    │   ├── CheckpointNotFound       … also a FileNotFoundError
    │   ├── UnsafePickle             … it would run code
    │   ├── FamilyError              … family unknown, ambiguous or contradicted
    │   └── WeightMismatch           … a tensor is missing, extra, misshapen or not finite
    ├── ConversionError          6   the exporter failed
    ├── ParityError              7   ONNX does not compute what Paddle computes
    ├── BundleError              8   a bundle is absent, altered or unreadable
    │   ├── BundleNotFound           … also a FileNotFoundError
    │   └── SchemaTooNew             … written by a newer edgecls
    ├── BackendError             9   no engine runs the model as asked
    ├── OutputError             10   a result cannot be written (also an OSError)
    ├── DownloadError           11   the network or a checksum said no
    ├── DatasetError            12   a list of clips, or a data set, has mistakes
    ├── CalibrationError        13   INT8 would lose more accuracy than allowed
    ├── EventNotSeen            14   a run ended without the event it waited for
    └── BrokenInstallation      15   something that edgecls needs does not work here

A message says what happened, with values; `hint` says what to do, with a command.
"""

from __future__ import annotations

from typing import ClassVar


class EdgeclsError(Exception):
    """Root of all errors that are the world's or the user's doing, not a bug.

    Attributes:
        message: What happened, with the values involved.
        hint: What fixes it, usually a command; empty when nothing can be advised.
        exit_code: Process exit status used by the command line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgeclsError):
    """Options that contradict each other or a value outside its range."""

    exit_code = 2


class MissingExtra(EdgeclsError):
    """An optional dependency is not installed, or is installed and broken."""

    exit_code = 3


class SourceError(EdgeclsError):
    """A video source cannot be opened or read."""

    exit_code = 4


class SourceNotFound(SourceError, FileNotFoundError):
    """The file or device of a source does not exist."""


class CheckpointError(EdgeclsError):
    """The file to convert cannot be used."""

    exit_code = 5


class CheckpointNotFound(CheckpointError, FileNotFoundError):
    """A file that the conversion needs does not exist."""


class UnsafePickle(CheckpointError):
    """The checkpoint's pickle names objects that are not arrays; nothing of it was executed."""


class FamilyError(CheckpointError):
    """The network family cannot be read off the weights, or contradicts what was asked."""


class WeightMismatch(CheckpointError):
    """Tensors are missing, extra, misshapen or not finite."""


class ConversionError(EdgeclsError):
    """The exporter failed."""

    exit_code = 6


class ParityError(EdgeclsError):
    """The ONNX graph does not compute what the Paddle network computes."""

    exit_code = 7


class BundleError(EdgeclsError):
    """A bundle is altered, incomplete or unreadable."""

    exit_code = 8


class BundleNotFound(BundleError, FileNotFoundError):
    """There is no bundle at the path given."""


class SchemaTooNew(BundleError):
    """The card was written by a newer edgecls."""


class BackendError(EdgeclsError):
    """No engine runs the model as asked."""

    exit_code = 9


class OutputError(EdgeclsError, OSError):
    """A result cannot be written."""

    exit_code = 10


class DownloadError(EdgeclsError):
    """The network is unreachable, or a download does not match its checksum."""

    exit_code = 11


class DatasetError(EdgeclsError):
    """A list of clips, a list of class names or a data set is not what it should be."""

    exit_code = 12


class CalibrationError(EdgeclsError):
    """INT8 loses more accuracy than the budget allows, or the graph cannot be INT8 at all."""

    exit_code = 13


class EventNotSeen(EdgeclsError):
    """A run ended without the event that it was to run until."""

    exit_code = 14


class BrokenInstallation(EdgeclsError):
    """The doctor found something that is needed and does not work."""

    exit_code = 15
