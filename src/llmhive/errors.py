"""What can go wrong, as one small tree.

::

    LLMHiveError                 anything we raise on purpose; the message says what to do next
    ├── UsageError               the caller asked for something that cannot be (exit code 2)
    │   ├── SettingsError        a setting has a value we cannot use
    │   ├── NotFound             no such model, run or snapshot
    │   ├── Conflict             it cannot be done as things stand: superseded, pinned, busy (HTTP 409)
    │   └── Unpriced             no known price for it: decided per request, unknown, or not listed then (HTTP 422)
    ├── UpstreamError            OpenRouter gave no usable answer (exit code 1, HTTP 502)
    │   ├── Unreachable          no answer at all: no network, refused, timed out
    │   ├── Refused              it answered with an error status
    │   ├── BudgetSpent          not asked: the requests that OpenRouter allows are used up
    │   └── BadAnswer            it answered, but not with what it promised: not JSON, cut short, an error body
    ├── ClockError               this machine's clock and OpenRouter's disagree (exit code 1)
    └── StoreError               the database cannot do it (exit code 1, HTTP 503)
        ├── DatabaseUnavailable  cannot be opened or reached
        ├── SchemaOutdated       its tables are older or newer than this program
        └── RunLost              this run is no longer the running one: another process took over
"""

from __future__ import annotations


class LLMHiveError(Exception):
    """Anything we raise on purpose."""


class UsageError(LLMHiveError):
    """The caller asked for something that cannot be."""


class SettingsError(UsageError):
    """A setting has a value we cannot use."""


class NotFound(UsageError):
    """No such model, run or snapshot."""


class Conflict(UsageError):
    """It cannot be done as things stand."""


class Unpriced(UsageError):
    """No known price for it: decided per request, unknown, or not listed then."""


class UpstreamError(LLMHiveError):
    """OpenRouter gave no usable answer."""


class Unreachable(UpstreamError):
    """No answer at all: no network, refused, timed out."""


class Refused(UpstreamError):
    """OpenRouter answered with an error status.

    ``status`` is the HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BudgetSpent(UpstreamError):
    """Not asked: the requests that OpenRouter allows are used up."""


class BadAnswer(UpstreamError):
    """OpenRouter answered, but not with what it promised."""


class ClockError(LLMHiveError):
    """This machine's clock and OpenRouter's disagree: a history dated by it would be wrong."""


class StoreError(LLMHiveError):
    """The database cannot do what was asked."""


class DatabaseUnavailable(StoreError):
    """The database cannot be opened or reached."""


class SchemaOutdated(StoreError):
    """The tables are older or newer than this program."""


class RunLost(StoreError):
    """This run is no longer the running one: another process took over."""
