"""What a slot and the ranks of its trials tell each other, without Ray: who waits for whom, and who replaces whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kaggle_ray.errors import ProcessDiedError, TrialError
from kaggle_ray.types import EpochMetrics, Trial, TrialResult, TrialWarning

pytestmark = pytest.mark.ray

FIRST, SECOND = (Trial(experiment_id="a" * 12, fold=fold) for fold in (0, 1))
NOT_YET = 0.02
LIVING = {"here"}


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=number, train_loss=0.5, valid_loss=0.5, score=0.5, lr=0.1, duration_s=1.0, samples_per_s=1.0
    )


def result(trial: Trial) -> TrialResult:
    return TrialResult(trial=trial, status="committed", attempt_id="b" * 12)


def warning(words: str = "a process of the trial died", *, epoch: int = 1) -> TrialWarning:
    """Return what is told of a group that another one replaces."""
    text = f"its process died, and it begins again from its last checkpoint: {words}"
    return TrialWarning(topic="process_died", text=text, epoch=epoch)


def exchanging(story: Callable[..., Awaitable[None]]) -> None:
    from kaggle_ray.launch.ray_exchange import Exchange

    async def tell() -> None:
        await asyncio.wait_for(story(Exchange(lambda: LIVING)), timeout=30)

    asyncio.run(tell())


def test_ranks_wait_after_each_epoch_until_the_slot_takes_the_next_message() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        number, trial = await exchange.next_trial("x", 0)
        assert trial == FIRST
        await exchange.tell(number, epoch(1))
        assert await exchange.take() == epoch(1)
        waiting = [asyncio.ensure_future(exchange.verdict(number, 1)) for _ in range(2)]
        await asyncio.sleep(NOT_YET)
        assert not any(each.done() for each in waiting), "the source has not decided yet"
        taking = asyncio.ensure_future(exchange.take())
        assert await asyncio.gather(*waiting) == ["go on", "go on"]
        await exchange.tell(number, result(FIRST))
        assert await taking == result(FIRST)

    exchanging(story)


def test_another_trial_ends_the_one_that_waits() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        number, _ = await exchange.next_trial("x", 0)
        await exchange.tell(number, epoch(1))
        await exchange.take()
        await exchange.begin(SECOND)
        assert await exchange.verdict(number, 1) == "close"
        await exchange.tell(number, result(FIRST))
        assert await exchange.next_trial("x", number) == (number + 1, SECOND)

    exchanging(story)


def test_groups_replace_one_another_as_long_as_their_trial_gets_on_and_where_three_do_not_it_has_failed() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        number, _ = await exchange.next_trial("0", 0)
        for group in range(1, 6):  # each of which has died by the time that the next one begins
            await exchange.join(str(group), "here")
            assert [await exchange.next_trial(str(group), 0) for _ in range(2)] == [(number, FIRST)] * 2
            assert await exchange.take() == warning(epoch=min(group, 4))
            if group < 4:
                await exchange.tell(number, epoch(group))
                assert await exchange.take() == epoch(group)
        await exchange.failed_alone(number, "DataError: no such file")
        asking = [asyncio.ensure_future(exchange.next_trial("6", 0)) for _ in range(2)]
        error = await exchange.take()
        assert isinstance(error, ProcessDiedError)
        assert str(error) == (
            "its process died 3 times in a row, before epoch 4 ended. The last one: DataError: no such file"
        )
        await exchange.begin(SECOND)
        assert await asyncio.gather(*asking) == [(number + 1, SECOND)] * 2

    exchanging(story)


def test_a_trial_that_is_to_end_saves_where_it_waits_and_the_slot_is_told() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        number, _ = await exchange.next_trial("x", 0)
        taking = asyncio.ensure_future(exchange.take())
        waiting = asyncio.ensure_future(exchange.verdict(number, 1))
        await exchange.end()
        await exchange.ending()
        assert await waiting == "save and end"
        await exchange.close()
        await exchange.ended()
        assert await taking is None
        assert await exchange.next_trial("x", number) is None

    exchanging(story)


def test_a_trial_fails_of_groups_that_die_before_they_begin_and_the_next_one_has_another_try() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        number, _ = await exchange.next_trial("0", 0)
        await exchange.died("rank 1: ActorDiedError: killed")  # one that has begun, and is replaced
        for died_of in ("no disk", "no disk", "ImportError: libcudart.so"):
            await exchange.died(died_of)
        error = await exchange.take()
        assert isinstance(error, ProcessDiedError)
        assert str(error) == (
            "its processes died 3 times in a row, before they began. The last ones: ImportError: libcudart.so"
        )
        await exchange.begin(SECOND)
        await exchange.died("no disk")
        assert "4 times in a row" in str(await exchange.take()), "one try is enough now"
        await exchange.begin(FIRST)
        number, trial = await exchange.next_trial("1", 0)
        assert trial == FIRST, "what ended them is mended"
        await exchange.died("killed")
        await exchange.died("no disk")
        await exchange.tell(number, result(FIRST))
        assert await exchange.take() == result(FIRST)

    exchanging(story)


def test_a_trial_that_groups_die_of_says_what_the_last_one_died_of() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        for group in "012":
            await exchange.join(group, "here")
            await exchange.next_trial(group, 0)
            await exchange.died(f"rank 0: group {group} ran out of memory")
        assert await exchange.take() == warning("rank 0: group 1 ran out of memory"), "of the last one that began"
        asking = asyncio.ensure_future(exchange.next_trial("3", 0))
        error = await exchange.take()
        assert "died 3 times in a row, before epoch 1 ended. The last one: rank 0: group 2 ran out of" in str(error)
        await exchange.close()
        assert await asking is None

    exchanging(story)


def test_a_slot_without_workers_is_an_error_of_its_trial() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        taking = asyncio.ensure_future(exchange.take())
        await exchange.close("ValueError: no such resource")
        with pytest.raises(TrialError, match="Ray Train ended: ValueError: no such resource"):
            await taking

    exchanging(story)


def test_groups_that_went_with_their_node_do_not_count() -> None:
    async def story(exchange: Any) -> None:
        await exchange.begin(FIRST)
        for number, node in enumerate(("gone", "gone", "here", "here", "here")):
            await exchange.join(str(number), "here")
            await exchange.join(str(number), node)
            assert await exchange.next_trial(str(number), 0) == (1, FIRST)
            assert number == 0 or await exchange.take() == warning()
        asking = asyncio.ensure_future(exchange.next_trial("too many", 0))
        assert isinstance(await exchange.take(), ProcessDiedError)
        await exchange.close()
        assert await asking is None

    exchanging(story)
