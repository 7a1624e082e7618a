"""The summary: what was asked and answered, and whether the books agree with the answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from demo.app import JSON
from demo.databases import ACCOUNTS, OPENING_BALANCE, Books, orders_of
from demo.load import BUG, KINDS, OVERDRAFT, READ, TRANSFER, Exchange


@dataclass(frozen=True)
class Run:
    """Everything that was seen of one run."""

    exchanges: list[Exchange]
    books: Books
    workers: dict[int, JSON]  # port: the worker's pools after the load
    exit_codes: list[int]
    left_connections: int  # on the server, after the workers' end
    seconds: float


@dataclass(frozen=True)
class Check:
    """Something that must be true, and the figures it was judged by."""

    holds: bool
    text: str


def checks(run: Run) -> list[Check]:
    """All that must be true of a run."""
    answered = sum(e.status == e.kind.status for e in run.exchanges)
    reads = [e for e in run.exchanges if e.kind is READ]
    right_reads = sum(_is_right(e) for e in reads)
    moved = {e.answer["request_id"] for e in run.exchanges if e.kind is TRANSFER}
    failed = _failed(run.exchanges)
    undone = {e.answer["request_id"] for e in failed}
    remains = undone & (run.books.transfers | run.books.events)
    overdrafts = [e for e in run.exchanges if e.kind is OVERDRAFT]
    named = sum(e.answer.get("constraint") == "no_overdraft" for e in overdrafts)
    opening = OPENING_BALANCE * ACCOUNTS
    pools = [pool for worker in run.workers.values() for pool in worker["pools"].values()]
    idle = sum(p["in_use"] == p["waiting"] == 0 < p["size"] <= p["max_size"] for p in pools)
    return [
        Check(
            answered == len(run.exchanges),
            f"{answered:,} of {len(run.exchanges):,} requests were answered with the status due",
        ),
        Check(
            right_reads == len(reads),
            f"{right_reads:,} of {len(reads):,} reads held exactly what their account ordered",
        ),
        Check(
            run.books.money == opening,
            f"money is conserved: {opening:,} before, {run.books.money:,} after",
        ),
        Check(
            run.books.wrong_balances == 0,
            f"{run.books.wrong_balances} of {ACCOUNTS} balances disagree with the transfers done",
        ),
        Check(
            run.books.transfers == moved and run.books.events == moved,
            f"{len(moved):,} transfers were reported done: {len(moved & run.books.transfers):,} of "
            f"them are in main, {len(moved & run.books.events):,} in analytics, "
            f"and {len((run.books.transfers | run.books.events) - moved)} others",
        ),
        Check(
            bool(failed) and not remains and all(e.answer["written"] for e in failed),
            f"{sum(e.answer['written'] for e in failed):,} rows of {len(failed):,} failed requests "
            f"were rolled back, {len(remains)} of the requests left something behind",
        ),
        Check(
            named == len(overdrafts),
            f"{named:,} of {len(overdrafts):,} violations name their constraint, no_overdraft",
        ),
        Check(
            idle == len(pools),
            f"{idle} of {len(pools)} pools have nothing in use, no one waiting, and kept to size",
        ),
        Check(
            not any(run.exit_codes) and run.left_connections == 0,
            f"workers ended with {run.exit_codes} and left {run.left_connections} connections",
        ),
    ]


def show(run: Run, verdicts: list[Check]) -> None:
    """Print the run for a reader."""
    print(f"\n{'Requests':<34}{'sent':>6}{'status':>8}{'rows rolled back':>18}")
    for kind in KINDS:
        of_kind = [e for e in run.exchanges if e.kind is kind]
        rolled_back = sum(e.answer["written"] for e in _failed(of_kind))
        for status, count in sorted(Counter(e.status for e in of_kind).items()):
            print(f"  {kind.name:<32}{count:>6,}{status:>8}{rolled_back or '-':>18}")
    rate = len(run.exchanges) / run.seconds
    print(f"  {'all, in ' + format(run.seconds, '.1f') + ' s':<32}{len(run.exchanges):>6,}", end="")
    print(f"{rate:>13,.0f} requests a second")

    print(f"\n{'Workers':<34}{'served':>6}  pools: size, available, in use, waiting (at most)")
    served = Counter(e.port for e in run.exchanges)
    for port, worker in run.workers.items():
        pools = "   ".join(
            "{}: {size}, {available}, {in_use}, {waiting} ({max_size})".format(alias, **pool)
            for alias, pool in worker["pools"].items()
        )
        name = f"process {worker['pid']} on port {port}"
        print(f"  {name:<32}{served[port]:>6,}  {pools}")

    print("\nProof")
    for check in verdicts:
        print(f"  {'ok    ' if check.holds else 'FAILED'}  {check.text}")


def _failed(exchanges: list[Exchange]) -> list[Exchange]:
    return [e for e in exchanges if e.kind in (BUG, OVERDRAFT)]


def _is_right(read: Exchange) -> bool:
    if read.status != read.kind.status:
        return False
    due = orders_of(read.asked["account"])
    totals = {order["id"]: Decimal(order["total"]) for order in read.answer["orders"]}
    return totals == due and Decimal(read.answer["sales"]) == sum(due.values())
