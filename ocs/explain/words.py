"""One receipt as one sentence a support agent understands. Pure text from fields; reads nothing, decides nothing.

Quantities are rounded to be read; the receipt's fields are exact.
"""

from ocs.charging.receipt import Debit, Reason, Receipt, ServiceReceipt, Verdict
from ocs.charging.state import MAIN_BUCKET
from ocs.rating.catalogue import Unit
from ocs.units import format_duration, format_money

_STEPS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def quantity(amount: int, unit: Unit | None, currency: str = "") -> str:
    """An amount to be read: `9.54 MiB`, `5 min`, `3 events`, `0.05 EUR`."""
    if unit == Unit.MONEY:
        return f"{format_money(amount)} {currency}".rstrip()
    if unit == Unit.SECONDS:
        return format_duration(amount)
    if unit == Unit.EVENTS:
        return f"{amount} event{'' if amount == 1 else 's'}"
    for name, size in _STEPS:
        if amount >= size:
            if amount >= 100 * size:
                return f"{(amount + size // 2) // size:,} {name}"
            whole, fraction = divmod((amount * 100 + size // 2) // size, 100)
            return f"{whole}.{fraction:02}".rstrip("0").rstrip(".") + f" {name}"
    return f"{amount} octet{'' if amount == 1 else 's'}"


def bucket_name(bucket: str) -> str:
    """`main` is the money balance; an offer's bucket without the number of its purchase."""
    return "the money balance" if bucket == MAIN_BUCKET else bucket.partition("#")[0]


def sentence(receipt: Receipt, currency: str = "") -> str:
    """What happened, in one sentence. Control characters that a client put into its identities stay out of it."""
    text = _sentence(receipt, currency)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _sentence(receipt: Receipt, currency: str) -> str:
    match receipt.kind:
        case "account":
            return f"Account {receipt.account} was made for {receipt.text}."
        case "credit" | "units" | "offer":
            return _credit(receipt, currency)
        case "status":
            return f"The account was set to {receipt.text}."
        case "expiry":
            parts = [_given_back(service) for service in receipt.services]
            return f"Nothing was heard of the session in time, so it was closed{_list(parts, '; ')}."
    opening = _opening(receipt)
    parts = [part for service in receipt.services for part in _service(service, currency)]
    return f"{opening}{_list(parts, ': ')}."


def _list(parts: list[str], before: str) -> str:
    parts = [part for part in parts if part]
    return before + "; ".join(parts) if parts else ""


def _credit(receipt: Receipt, currency: str) -> str:
    parts = [
        f"{quantity(change.credited, change.unit, currency)} to {bucket_name(change.bucket)}, "
        f"which now has {quantity(change.remaining, change.unit, currency)}"
        for change in receipt.changes
        if change.credited
    ]
    what = f"Offer {receipt.text} was added" if receipt.kind == "offer" else "Topped up"
    return f"{what}{_list(parts, ': ')}."


def _opening(receipt: Receipt) -> str:
    who = receipt.identity.partition(":")[2]
    request = f"{receipt.kind.capitalize()} request of {who}" if who else f"{receipt.kind.capitalize()} request"
    code = receipt.result_code
    match receipt.verdict:
        case Verdict.UNKNOWN_SUBSCRIBER:
            if not receipt.identity:
                return f"{request} was refused ({code}): it names no subscriber"
            return f"{request} was refused ({code}): no account has this identity; add the subscriber to change that"
        case Verdict.UNKNOWN_SESSION:
            return f"{request} was refused ({code}): there is no session of this id, so nothing could be charged"
        case Verdict.SESSION_WAS_CLOSED:
            return (
                f"{request} came after the session had been closed ({code}); what it reports was charged all the same"
            )
        case Verdict.UNKNOWN_CONTEXT:
            return f"{request} was refused ({code}): the catalogue has no service of context {receipt.context}"
        case Verdict.NUMBER_REUSED:
            return f"{request} was refused ({code}): its number {receipt.number} was used for another request before"
        case Verdict.ANSWER_FORGOTTEN:
            return f"{request} repeats number {receipt.number}, answered long ago; nothing was charged again ({code})"
        case Verdict.BLOCKED:
            return f"{request} was refused ({code}): the account is blocked"
        case Verdict.ALL_REFUSED:
            return f"{request} was refused ({code})"
    closing = ", which closed the session" if receipt.closes else ""
    return f"{request}{closing}"


def _service(service: ServiceReceipt, currency: str) -> list[str]:
    parts = []
    if service.reported or service.reason is Reason.DEBITED:
        parts.append(_usage(service, currency))
    elif service.reason is Reason.CLOSED and service.released:
        parts.append(_given_back(service))
    parts.append(_grant(service, currency))
    return parts


def _usage(service: ServiceReceipt, currency: str) -> str:
    used = f"{service.service} used {quantity(service.used, service.unit)}"
    if service.debits:
        used += ", paid by " + " and ".join(_debit(debit, service, currency) for debit in service.debits)
    if service.uncharged:
        used += f", of which {quantity(service.uncharged, service.unit)} nothing could pay for"
    elif service.used and not service.debits:
        used += ", at no further cost"
    if service.beyond_grant:
        used += f" ({quantity(service.beyond_grant, service.unit)} more than had been granted)"
    for unit, amount in service.not_counted.items():
        if unit == service.unit:
            used += f" (and {quantity(amount, service.unit)} beyond what a session can count)"
        else:
            used += f" (reported as {amount} {unit}, which this service is not counted in)"
    return used


def _debit(debit: Debit, service: ServiceReceipt, currency: str) -> str:
    amount = f"{quantity(debit.amount, debit.unit, currency)} from {bucket_name(debit.bucket)}"
    if debit.unit is Unit.MONEY:
        return f"{amount} at price {service.price}"
    return amount


def _given_back(service: ServiceReceipt) -> str:
    return f"{quantity(service.released, service.unit)} of {service.service} given back" if service.released else ""


def _grant(service: ServiceReceipt, currency: str) -> str:
    name, code = service.service, service.result_code
    match service.reason:
        case Reason.GRANTED | Reason.LAST_UNITS:
            sources = " and ".join(
                f"{quantity(held.amount, held.unit, currency)} of {bucket_name(held.bucket)}" for held in service.held
            )
            granted = (
                f"{name} granted {quantity(service.granted, service.unit)} for {format_duration(service.validity_s)}"
            )
            granted += f", held from {sources}" if sources else ", at no further cost"
            return granted + (", the last there is" if service.reason is Reason.LAST_UNITS else "")
        case Reason.CREDIT_LIMIT:
            refused = f"{name} refused ({code}): nothing is left that pays for it"
            if service.short_micro:
                return f"{refused}; {quantity(service.short_micro, Unit.MONEY, currency)} more would buy the next units"
            return f"{refused}; an offer or units for {name} would help"
        case Reason.NOT_IN_PLAN:
            return f"{name} refused ({code}): no offer of the account covers it"
        case Reason.BARRED:
            return f"{name} refused ({code}): an offer of the account bars it"
        case Reason.UNKNOWN_SERVICE:
            return f"{name} refused ({code}): the catalogue has no such service"
        case Reason.BLOCKED:
            return f"{name} refused ({code}): the account is blocked"
    return ""
