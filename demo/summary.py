"""The summary: requests, responses, and whether the books agree with the responses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from demo.app import JSON
from demo.databases import ACCOUNTS, OPENING_BALANCE, Books, orders_of
from demo.load import BUG, KINDS, OVERDRAFT, READ, TRANSFER, Exchange, Kind


@dataclass(frozen=True)
class Run:
    """The observations of one run."""

    exchanges: list[Exchange]
    books: Books
    reports: list[JSON]  # each worker's pools after its last request
    exit_code: int  # of the workers' arbiter
    log: str  # of the workers
    left_connections: int  # on the server, after the workers have ended
    seconds: float


@dataclass(frozen=True)
class Check:
    """A statement that must be true, with its figures."""

    holds: bool
    text: str


def checks(run: Run) -> list[Check]:
    """The checks of a run."""
    answered = sum(e.status == e.kind.status for e in run.exchanges)
    reads = [e for e in run.exchanges if e.kind is READ]
    right_reads = sum(_is_right(e) for e in reads)
    moved = _request_ids(run, TRANSFER)
    bugs = _request_ids(run, BUG)
    failed = bugs | _request_ids(run, OVERDRAFT)
    books = run.books
    written = {"transfers": books.transfers, "events": books.events}
    undone = {table: books.inserted[table] - len(ids) for table, ids in written.items()}
    remains = failed & (books.transfers | books.events)
    overdrafts = [e for e in run.exchanges if e.kind is OVERDRAFT]
    named = sum(e.answer.get("constraint") == "no_overdraft" for e in overdrafts)
    logged = sum(request_id in run.log for request_id in bugs)
    opening = OPENING_BALANCE * ACCOUNTS
    pools = [pool for report in run.reports for pool in report["pools"].values()]
    idle = sum(p["in_use"] == p["waiting"] == 0 < p["size"] <= p["max_size"] for p in pools)
    return [
        Check(
            answered == len(run.exchanges),
            f"{answered:,} of {len(run.exchanges):,} requests got the expected status",
        ),
        Check(
            right_reads == len(reads),
            f"{right_reads:,} of {len(reads):,} reads returned exactly the orders of their account",
        ),
        Check(
            books.money == opening,
            f"money is conserved: {opening:,} before, {books.money:,} after",
        ),
        Check(
            books.wrong_balances == 0,
            f"{books.wrong_balances} of {ACCOUNTS} balances disagree with the transfers",
        ),
        Check(
            books.transfers == moved and books.events == moved,
            f"{len(moved):,} transfers were reported as done: {len(moved & books.transfers):,} of "
            f"them are in main, {len(moved & books.events):,} in analytics, "
            f"and {len((books.transfers | books.events) - moved)} others",
        ),
        Check(
            bool(failed) and not remains and set(undone.values()) == {len(failed)},
            f"{len(failed):,} requests failed midway: PostgreSQL counts {undone['transfers']:,} "
            f"rows of main and {undone['events']:,} of analytics as written and rolled back, and "
            f"{len(remains)} of the requests left something behind",
        ),
        Check(
            named == len(overdrafts),
            f"{named:,} of {len(overdrafts):,} violations name their constraint, no_overdraft",
        ),
        Check(
            logged == len(bugs),
            f"{logged:,} of {len(bugs):,} bugs are in the log with their response's request id",
        ),
        Check(
            len(run.reports) > 1 and idle == len(pools),
            f"{idle} of {len(pools)} pools have nothing in use or waiting, and kept to max_size",
        ),
        Check(
            run.exit_code == 0 and run.left_connections == 0,
            f"the workers ended with {run.exit_code} and left {run.left_connections} connections",
        ),
    ]


def show(run: Run, verdicts: list[Check]) -> None:
    """Print the run for a reader."""
    print(f"\n{'Requests':<34}{'sent':>6}{'status':>8}")
    for kind in KINDS:
        statuses = Counter(e.status for e in run.exchanges if e.kind is kind)
        for status, count in sorted(statuses.items()):
            print(f"  {kind.name:<32}{count:>6,}{status:>8}")
    rate = len(run.exchanges) / run.seconds
    print(f"  {'all, in ' + format(run.seconds, '.1f') + ' s':<32}{len(run.exchanges):>6,}", end="")
    print(f"{rate:>13,.0f} requests a second")

    print(f"\n{'Workers':<34}{'served':>6}  pools: size, available, in use, waiting (at most)")
    served = Counter(e.answer.get("worker") for e in run.exchanges)
    for report in run.reports:
        pools = "   ".join(
            "{}: {size}, {available}, {in_use}, {waiting} ({max_size})".format(alias, **pool)
            for alias, pool in report["pools"].items()
        )
        print(f"  process {report['pid']:<24}{served[report['pid']]:>6,}  {pools}")
    print(f"  {'(worker not reported)':<32}{served[None]:>6,}  failed requests")

    print("\nProof")
    for check in verdicts:
        print(f"  {'ok    ' if check.holds else 'FAILED'}  {check.text}")


def _request_ids(run: Run, kind: Kind) -> set[str]:
    return {e.answer["request_id"] for e in run.exchanges if e.kind is kind}


def _is_right(read: Exchange) -> bool:
    if read.status != read.kind.status:
        return False
    due = orders_of(read.asked["account"])
    totals = {order["id"]: Decimal(order["total"]) for order in read.answer["orders"]}
    return totals == due and Decimal(read.answer["sales"]) == sum(due.values())
