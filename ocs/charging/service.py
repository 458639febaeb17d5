"""One service of a request: pays for what was used, then reserves what may be used next.

Units that the service is counted in pay before money; among them the order is that of the account's list (priority,
then what ends soonest). Money pays begun blocks, counted on the sum of the session's rating group (`ocs.rating.price`).
"""

from ocs.rating.catalogue import Catalogue, Price, Service, Unit
from ocs.rating.price import affordable_units, cost_between

from . import balance
from .receipt import Debit, ServiceReceipt
from .state import Account, Bucket, Hold, ServiceUse


def price_of(account: Account, catalogue: Catalogue, service: str) -> Price | None:
    """The price by which money pays for the service: that of the first offer held that has one. Money of another
    currency than the catalogue's pays for nothing.
    """
    if account.currency and account.currency != catalogue.currency:
        return None
    for offer_id in account.offers:
        offer = catalogue.offers.get(offer_id)
        if offer is not None:
            price = offer.prices.get(service)
            if price is not None:
                return price
    return None


def is_barred(account: Account, catalogue: Catalogue, service: str) -> bool:
    """Whether an offer of the account forbids the service."""
    for offer_id in account.offers:
        offer = catalogue.offers.get(offer_id)
        if offer is not None and service in offer.barred:
            return True
    return False


def is_in_plan(account: Account, catalogue: Catalogue, service: str) -> bool:
    """Whether any offer of the account, or any bucket it was given, covers the service at all."""
    for offer_id in account.offers:
        offer = catalogue.offers.get(offer_id)
        if offer is None:
            continue
        if service in offer.prices or any(service in allowance.services for allowance in offer.allowances):
            return True
    return any(service in bucket.services for bucket in account.buckets)


def settle(
    account: Account, use: ServiceUse, used: int, price: Price | None, now: int, receipt: ServiceReceipt
) -> None:
    """Pays for `used` units: first from what the session holds, which is then given back as far as it is left, then
    from whatever may pay. What nothing can pay for is recorded as uncharged. Afterwards the service holds nothing.
    """
    buckets = {bucket.id: bucket for bucket in account.buckets}
    left, granted = used, use.granted
    money: list[tuple[Bucket, int]] = []
    for hold in use.holds:
        bucket = buckets[hold.bucket]
        if bucket.unit is Unit.MONEY:
            money.append((bucket, hold.amount))
            continue
        paid = min(left, hold.amount)
        balance.spend_reserved(bucket, paid)
        balance.release(bucket, hold.amount - paid, now)
        _add_debit(receipt, bucket, paid)
        left -= paid
    if use.priced and left and price is not None:
        left -= _spend_money_held(use, min(left, use.priced), price, money, now, receipt)
    else:
        for bucket, amount in money:
            balance.release(bucket, amount, now)
    receipt.released += max(0, granted - used)
    receipt.beyond_grant += max(0, used - granted)
    use.holds, use.granted, use.priced = [], 0, 0
    if left:
        left = _spend_free(account, use, left, price, receipt)
    use.used += used
    use.uncharged += left
    receipt.used += used
    receipt.uncharged += left


def _spend_money_held(
    use: ServiceUse, units: int, price: Price, money: list[tuple[Bucket, int]], now: int, receipt: ServiceReceipt
) -> int:
    """Pays `units` from the money held and gives back the rest of it. Returns how many of the units are paid."""
    units = affordable_units(price, use.rated, sum(amount for _, amount in money), units)
    cost = cost_between(price, use.rated, units)
    _note_cost(use, units, cost, price, receipt)
    for bucket, amount in money:
        paid = min(cost, amount)
        balance.spend_reserved(bucket, paid)
        balance.release(bucket, amount - paid, now)
        _add_debit(receipt, bucket, paid)
        cost -= paid
    return units


def _spend_free(account: Account, use: ServiceUse, left: int, price: Price | None, receipt: ServiceReceipt) -> int:
    """Pays `left` units from what is free. Returns how many could not be paid."""
    parts, covered, priced = _cover(account, use, left, price)
    for bucket, amount in parts:
        balance.spend(bucket, amount)
        _add_debit(receipt, bucket, amount)
    if priced and price is not None:
        _note_cost(use, priced, cost_between(price, use.rated, priced), price, receipt)
    return left - covered


def _note_cost(use: ServiceUse, units: int, cost_micro: int, price: Price, receipt: ServiceReceipt) -> None:
    use.rated += units
    use.charged_micro += cost_micro
    receipt.rated += units
    receipt.cost_micro += cost_micro
    receipt.price = price.id


def _add_debit(receipt: ServiceReceipt, bucket: Bucket, amount: int) -> None:
    if not amount:
        return
    for debit in receipt.debits:
        if debit.bucket == bucket.id:
            debit.amount += amount
            return
    receipt.debits.append(Debit(bucket.id, bucket.unit, amount))


def _cover(
    account: Account, use: ServiceUse, wanted: int, price: Price | None
) -> tuple[list[tuple[Bucket, int]], int, int]:
    """Which free amounts would pay for `wanted` units: (bucket, amount) parts, units covered, and how many of them in
    money. Moves nothing. Buckets whose time has ended hold nothing free (`decide` ends them first).
    """
    parts: list[tuple[Bucket, int]] = []
    left = wanted
    money: list[Bucket] = []
    budget = 0
    for bucket in account.buckets:
        if not bucket.remaining:
            continue
        if bucket.unit is Unit.MONEY:
            money.append(bucket)
            budget += bucket.remaining
        elif left and use.service in bucket.services:
            amount = min(left, bucket.remaining)
            parts.append((bucket, amount))
            left -= amount
    priced = 0
    if left and price is not None:
        priced = affordable_units(price, use.rated, budget, left)
        cost = cost_between(price, use.rated, priced)
        left -= priced
        for bucket in money:
            if not cost:
                break
            amount = min(cost, bucket.remaining)
            parts.append((bucket, amount))
            cost -= amount
    return parts, wanted - left, priced


def grant(
    account: Account,
    use: ServiceUse,
    service: Service,
    wanted: int,
    price: Price | None,
    now: int,
    receipt: ServiceReceipt,
) -> int:
    """Reserves up to `wanted` units for the service, which must hold nothing. Returns the units granted; 0 when nothing
    can pay. `receipt` says what was held and whether anything beyond it could have been granted.
    """
    assert not use.holds
    parts, covered, priced = _cover(account, use, wanted, price)
    if not covered:
        _note_shortage(account, use, 1, price, receipt)
        return 0
    for bucket, amount in parts:
        balance.reserve(bucket, amount)
        use.holds.append(Hold(bucket.id, amount))
        receipt.held.append(Debit(bucket.id, bucket.unit, amount))
    use.granted, use.priced = covered, priced
    receipt.granted, receipt.priced = covered, priced
    if priced and price is not None:
        receipt.price = price.id
    if covered == wanted:
        receipt.available = _beyond(account, use, price, priced)
    receipt.validity_s = _validity(parts, service, now)
    return covered


def debit_whole(account: Account, use: ServiceUse, wanted: int, price: Price | None, receipt: ServiceReceipt) -> bool:
    """Pays `wanted` units at once from what is free, or nothing at all."""
    parts, covered, priced = _cover(account, use, wanted, price)
    if covered < wanted:
        _note_shortage(account, use, wanted - covered + priced, price, receipt)
        return False
    for bucket, amount in parts:
        balance.spend(bucket, amount)
        _add_debit(receipt, bucket, amount)
    if priced and price is not None:
        _note_cost(use, priced, cost_between(price, use.rated, priced), price, receipt)
    use.used += wanted
    receipt.granted = wanted
    receipt.used += wanted
    receipt.used_in_session = use.used
    return True


def _beyond(account: Account, use: ServiceUse, price: Price | None, priced: int) -> int:
    """Whether at least one more unit could be granted after what was just reserved: 1 or 0."""
    budget = 0
    for bucket in account.buckets:
        if bucket.remaining:
            if bucket.unit is Unit.MONEY:
                budget += bucket.remaining
            elif use.service in bucket.services:
                return 1
    if price is None:
        return 0
    return affordable_units(price, use.rated + priced, budget, 1)


def _note_shortage(account: Account, use: ServiceUse, units: int, price: Price | None, receipt: ServiceReceipt) -> None:
    """How much money is missing for `units` more."""
    if price is not None:
        budget = sum(bucket.remaining for bucket in account.buckets if bucket.unit is Unit.MONEY)
        receipt.price = price.id
        receipt.short_micro = cost_between(price, use.rated, units) - budget


def _validity(held: list[tuple[Bucket, int]], service: Service, now: int) -> int:
    """Seconds: the service's validity time, or less where a bucket that is held ends before."""
    validity_s = service.quota.validity_s
    for bucket, _ in held:
        if bucket.expires_at is not None:
            validity_s = min(validity_s, max(1, (bucket.expires_at - now) // 1000))
    return validity_s
