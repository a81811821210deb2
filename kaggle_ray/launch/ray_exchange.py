"""Carries trials from a slot to the ranks of a group of workers, and what they tell back, in lock-step."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Set
from typing import Literal

from kaggle_ray.counted import counted
from kaggle_ray.errors import ProcessDiedError, TrialError
from kaggle_ray.launch.deaths import Deaths
from kaggle_ray.launch.ray_nodes import living_nodes
from kaggle_ray.launch.watchdog import Watchdog
from kaggle_ray.train.failures import NUM_DEATHS_IN_A_ROW
from kaggle_ray.types import EpochMetrics, Trial, TrialMessage, TrialResult

Verdict = Literal["go on", "close", "save and end"]
"""What becomes of a trial after an epoch."""


class Exchange:
    """Carries trials to the ranks of one slot, and what rank 0 tells to the slot: an actor of its own.

    After each epoch all ranks wait until the slot asks for the next message, or for another trial.
    """

    def __init__(self, living_nodes: Callable[[], Set[str]] = living_nodes) -> None:
        """There is no trial yet; ``living_nodes`` are asked for where a group of workers has died."""
        self._living_nodes = living_nodes
        self._number = 0
        self._trial: Trial | None = None
        self._is_ending = False
        self._is_closed = False
        self._died_of: str | None = None
        self._reason = ""
        self._nodes: defaultdict[str, set[str]] = defaultdict(set)
        """The nodes of each group of workers that there was."""
        self._groups: list[str] = []
        """Groups that began the trial; all but the last one have died."""
        self._deaths = Deaths()
        self._has_begun = False
        """Whether the present group of workers has asked for a trial."""
        self._num_stillborn = 0
        """Groups in a row that died before they asked for one."""
        self._begin_messages()
        self._changed = asyncio.Condition()

    def _begin_messages(self) -> None:
        self._told: list[TrialMessage | TrialResult | TrialError] = []
        self._num_granted = 0
        self._is_answered = True

    def _begin_group(self, group: str) -> TrialError | None:
        """Let another group begin the trial, of which nothing is told yet; return why it should not."""
        if self._groups:
            self._deaths.add(self._nodes[self._groups[-1]])
        self._groups.append(group)
        self._begin_messages()
        reason, self._reason = self._reason or "a process of the trial died", ""
        error = self._deaths.error(self._living_nodes(), reason)
        if error is None and len(self._groups) > 1:
            self._told.append(self._deaths.warning(reason))
        return error

    @property
    def _ends(self) -> bool:
        return self._is_ending or self._is_closed

    async def watch(self) -> None:
        """Have this actor's process killed where it is stopped: slot and ranks would wait for it for ever."""
        self._watchdog = Watchdog.against_stops()

    # The slot's side --------------------------------------------------------------------------------------------------

    async def begin(self, trial: Trial) -> None:
        """Let the ranks run ``trial``; one that is under way ends where it is."""
        async with self._changed:
            self._number, self._trial = self._number + 1, trial
            self._reason = ""
            self._groups.clear()
            self._deaths = Deaths()
            self._begin_messages()
            self._changed.notify_all()

    async def take(self) -> TrialMessage | TrialResult | TrialError | None:
        """Let the ranks go on from the message before; return the next one, at last the result or what it failed of.

        None where the trial has ended with a checkpoint, as ``end`` asked it to.

        Raises:
            TrialError: there are no ranks any more.
        """
        async with self._changed:
            if not self._is_answered:
                self._num_granted, self._is_answered = self._num_granted + 1, True
                self._changed.notify_all()
            await self._changed.wait_for(lambda: self._told or self._is_closed)
            if self._died_of is not None:
                raise TrialError(f"Ray Train ended: {self._died_of}")
            if not self._told:
                return None
            message = self._told.pop(0)
            self._is_answered = not isinstance(message, EpochMetrics)
            return message

    async def end(self) -> None:
        """Let the ranks save a checkpoint at once, and end."""
        async with self._changed:
            self._is_ending = True
            self._changed.notify_all()

    async def ended(self) -> None:
        """Return when the ranks have been told to end, or have ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_closed)

    async def close(self, died_of: str | None = None) -> None:
        """Let the ranks end, wherever they are; ``died_of`` is why there are none any more."""
        async with self._changed:
            self._is_closed, self._died_of = True, self._died_of or died_of
            self._changed.notify_all()

    # The ranks' side --------------------------------------------------------------------------------------------------

    async def join(self, group: str, node: str) -> None:
        """Take note that a worker of a group is on a node."""
        self._nodes[group].add(node)

    async def next_trial(self, group: str, after: int) -> tuple[int, Trial] | None:
        """Return number and trial to run next; None where the rank is to end.

        A group that asks for a trial which has not ended replaces another one, and goes on with it; a trial that
        several groups died of has failed.

        Args:
            group: of the workers that ask.
            after: the number of the trial that it has run, 0 for none.
        """
        async with self._changed:
            self._has_begun, self._num_stillborn = True, 0
            while True:
                await self._changed.wait_for(lambda: self._ends or (self._trial is not None and self._number > after))
                if self._ends or self._trial is None:
                    return None
                if group not in self._groups and (error := self._begin_group(group)) is not None:
                    self._end(error)
                    continue
                return self._number, self._trial

    async def tell(self, number: int, message: TrialMessage | TrialResult) -> None:
        """Tell the slot a message, or the result, of the trial of that number."""
        async with self._changed:
            if number != self._number or self._trial is None:
                return
            if isinstance(message, EpochMetrics):
                self._deaths.got_on(message.epoch)
            if isinstance(message, TrialResult):
                self._end(message)
            else:
                self._told.append(message)
            self._changed.notify_all()

    async def verdict(self, number: int, num_epochs: int) -> Verdict:
        """Wait for what becomes of a trial that has told ``num_epochs`` epochs, and return it."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._ends or number != self._number or self._num_granted >= num_epochs
            )
            if self._is_closed or number != self._number:
                return "close"
            return "save and end" if self._is_ending else "go on"

    async def ending(self) -> None:
        """Return when the ranks are to save a checkpoint and end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ends)

    async def failed_alone(self, number: int, reason: str) -> None:
        """Note why one rank left the others alone, for when no other group does better."""
        if number == self._number:
            self._reason = reason

    async def died(self, words: str) -> None:
        """Take note of what a group of workers died of; another one is about to be started.

        Ray Train starts one after the other for ever. What ends them before they ask for a trial ends each, so the
        trial fails; the next one has another group for a try, and fails where that one dies, too.
        """
        async with self._changed:
            if self._has_begun:
                self._has_begun = False
                self._reason = self._reason or words
                return
            self._num_stillborn += 1
            if self._num_stillborn >= NUM_DEATHS_IN_A_ROW and self._trial is not None:
                times = f"{counted(self._num_stillborn, 'time')} in a row"
                self._end(ProcessDiedError(f"its processes died {times}, before they began. The last ones: {words}"))

    def _end(self, outcome: TrialResult | TrialError) -> None:
        self._told.append(outcome)
        self._trial = None
        self._changed.notify_all()
