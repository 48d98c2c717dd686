"""What may be said of a bill: the published list of causes, and the bill beside what our prices make of it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from llmhive.catalog.bill import Bill
from llmhive.catalog.model import instant
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import EXACT, canonical, plain
from llmhive.catalog.receipt import shown


class Cause(StrEnum):
    """Why a bill is what it is; `meaning` says it in a sentence."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Cause:
        """A cause is its name."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.meaning = meaning
        return made

    EXACT = "exact", "Our price gives the very amount."
    ROUNDED = "rounded", "Our price gives the amount, as far as its digits go."
    FREE = "free", "The model was free, and nothing was billed."
    BYOK = "byok", "Your own key paid the provider what our price says; OpenRouter billed nothing, or its fee of 5 %."
    RESPONSE_CACHE = "response_cache", "OpenRouter answered from its response cache and billed nothing."
    ZERO_COMPLETION = "zero_completion", "The answer was empty, and an empty answer is not billed."
    LOGGING_DISCOUNT = "logging_discount", "1 % less, for letting OpenRouter log the prompts."
    WEB_SEARCH = "web_search", "Searching the web was billed beside the model."
    TOOLS = "tools", "A tool that OpenRouter ran was billed beside the model."
    FILE_PARSING = "file_parsing", "Reading files, such as PDFs, was billed beside the model."
    CACHING = "caching", "More or fewer tokens were read from a cache or written to one than the bill tells."
    MEDIA = "media", "The bill does not tell image or audio tokens apart, which have a price of their own."
    TIER = "tier", "It was served at another service tier, or in a batch."
    OTHER_PROVIDER = "other_provider", "Another provider's price, or one that the catalog did not know then."
    PRICE_CHANGE = "price_change", "The price changed about that time: the one before or after gives the amount."
    AFTER_HISTORY = "after_history", "The catalog's last list is older than the bill: the price has changed since."
    BEFORE_HISTORY = "before_history", "The bill is older than the catalog's first list: no price of then is known."
    NO_TIME = "no_time", "The bill has no time, and no price that the model ever had gives the amount."
    NOT_PRICED = "not_priced", "The catalog knows no price for it: an unknown model, one not listed then, or a router."
    NO_AMOUNT = "no_amount", "The bill tells no amount."
    UNREADABLE = "unreadable", "The row could not be read."
    UNKNOWN = "unknown", "None of the causes above gives the amount."


#: Nothing is left to explain.
AGREED = frozenset({Cause.EXACT, Cause.ROUNDED, Cause.FREE, Cause.BYOK})
#: What the bill or the catalog says, or does not: never a guess. With a key of one's own the provider's share may be
#: untold.
CERTAIN = (AGREED - {Cause.BYOK}) | {
    Cause.RESPONSE_CACHE, Cause.ZERO_COMPLETION, Cause.NO_TIME, Cause.NOT_PRICED, Cause.NO_AMOUNT, Cause.UNREADABLE,
    Cause.UNKNOWN,
}  # fmt: skip


class Reconciled(msgspec.Struct, frozen=True):
    """A bill beside what our prices make of it."""

    cause: Cause
    why: str  #: a sentence
    is_proven: bool = True  #: whether figures prove the cause; else it is probable
    bill: Bill | None = None  #: None: unreadable
    model: str | None = None  #: its id; None: unknown
    paid: Decimal | None = None  #: billed credits, and what one's own key paid
    #: what our prices say was to be paid; of a bill before all of them, the first one that is known, where that gives
    #: the amount. None: no known price
    ours: Decimal | None = None
    is_exact: bool = False  #: whether both are the same to the last digit
    step: Step | None = None  #: the price that `ours` was made with

    @property
    def difference(self) -> Decimal | None:
        """How much more was paid than our prices say."""
        return None if self.paid is None or self.ours is None else canonical(EXACT.subtract(self.paid, self.ours))

    def to_json(self) -> dict[str, Any]:
        """As scripts see it: amounts are decimal strings."""
        bill, step = self.bill, self.step
        return {
            "id": bill and bill.id,
            "at": None if bill is None or bill.at is None else instant(bill.at),
            "name": bill and bill.model,
            "model": self.model,
            "provider": bill and bill.provider,
            "tier": bill and bill.tier,
            "requests": bill and bill.requests,
            "is_byok": bill and bill.is_byok,
            "billed": None if bill is None else _plain(bill.billed),
            "upstream": None if bill is None else _plain(bill.upstream),
            "paid": _plain(self.paid),
            "ours": _plain(self.ours),
            "difference": _plain(self.difference),
            "is_exact": self.is_exact,
            "cause": self.cause.value,
            "meaning": self.cause.meaning,
            "is_proven": self.is_proven,
            "why": self.why,
            "price_from": None if step is None else step.to_json(),
        }  # fmt: skip


def dollars(amount: Decimal, *, plus: bool = False) -> str:
    """An amount of USD for people, as `receipt.shown` rounds it: ``$0.007``, ``-$0.00294``; with `plus` ``+$0.007``."""
    sign = "-" if amount < 0 else "+" if plus and amount else ""
    return f"{sign}{shown(amount.copy_abs())}"


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)
