"""What units cost, and how many units a sum of money buys.

Owns the rounding: a begun block is paid whole, and blocks are counted on the running total of a session's rating
group, so that many small reports cost exactly what one large report of the same sum costs. Refuses to know balances,
allowances and reservations.

These three functions run on every priced request: plain integers, nothing allocated.
"""

from ocs.rating.catalogue import Price


def cost_micro(price: Price, units_total: int) -> int:
    """What `units_total` (0 or more) cost altogether, in millionths: every begun block in full."""
    return -(-units_total // price.block_units) * price.price_micro


def cost_between(price: Price, already: int, more: int) -> int:
    """What `more` units cost, in millionths, after `already` have been paid for.

    0 as long as they fit into the block that has been begun, and paid, before.
    """
    block = price.block_units
    return (-(-(already + more) // block) - -(-already // block)) * price.price_micro


def affordable_units(price: Price, already: int, budget_micro: int, wanted: int) -> int:
    """The largest n, at most `wanted`, for which `cost_between(price, already, n)` is within the budget.

    `wanted` when the price is 0. With a budget of 0 there may still be the rest of a block that has been paid; with a
    budget below 0 there is nothing, unless the price is 0, which costs nobody anything.
    """
    if price.price_micro == 0:
        return wanted
    if budget_micro < 0:
        return 0
    block = price.block_units
    blocks = -(-already // block) + budget_micro // price.price_micro
    return min(wanted, blocks * block - already)
