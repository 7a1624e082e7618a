"""transaction() blocks of a test's session: a stack, as the core keeps it for a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypern._testing.savepoints import NestedSavepoints
from hypern._testing.transactions import BY_SQL, Block, alone, call_hooks
from hypern.errors import InterfaceError

_B = TypeVar("_B", bound="NestedBlocks")


class NestedBlocks(NestedSavepoints):
    """The part of `NestedSession` that `Transaction` and `AsyncTransaction` call."""

    @alone
    def _enter(self: _B, number: int, text: str) -> _B:
        place, begin_sql = text.rsplit("\n", 1)
        self._check_usable()
        savepoint = ""
        if not self.is_in_transaction:
            self._begin(begin_sql)
        elif begin_sql != "BEGIN":
            raise InterfaceError("a nested transaction() is a savepoint and takes no options")
        else:
            savepoint = f"hypern_{number}"
            self._savepoint(savepoint)
        self._blocks.append(Block(number, place, savepoint))
        return self

    def _leave(self, number: int) -> None:
        call_hooks(self._left(number))

    @alone
    def _left(self, number: int) -> list[Callable[[], object]]:
        """What is to be called after the commit."""
        self._check_open()
        block = self._end_block(number, is_failed=False)
        if block is None:
            return []
        if block.savepoint:
            self._release(block.savepoint)
            return []
        return self._commit()

    @alone
    def _undo(self, number: int) -> None:
        block = self._end_block(number, is_failed=True)
        if block is None or not self.is_in_transaction:
            return
        if block.savepoint:
            self._rollback_to(block.savepoint)
        else:
            self._roll_back()

    def _not_entered(self, number: int) -> None:
        """`_enter` has raised: if that was a signal handler's exception, the block is open."""
        self._undo(number)

    def _has_block(self, number: int) -> bool:
        return any(block.number == number for block in self._blocks)

    def _end_block(self, number: int, *, is_failed: bool) -> Block | None:
        """Take a block out; None if nothing is left to do. Raises where it ends out of turn."""
        places = [i for i, block in enumerate(self._blocks) if block.number == number]
        if not places:
            return None
        place = places[0]
        block = self._blocks.pop(place)
        void = self._void
        if not self._blocks:
            self._void = ""
        if void:
            if is_failed or void.endswith(BY_SQL):
                return None
            raise InterfaceError(void)
        if place < len(self._blocks):
            inner = self._blocks[place].place
            self._roll_back_around(inner)
            raise InterfaceError(
                f"the transaction() block entered at {block.place} ended while the one entered at "
                f"{inner} was open, so their transaction was rolled back; end the inner block first"
            )
        return block
