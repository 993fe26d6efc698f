"""The queue in front of the engines: what is accepted is judged in time or refused with its reason."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from numpy.typing import NDArray

from onspec.domain import EngineError, ImageError, UsageError, Verdict
from onspec.imaging.writing import encode_image
from onspec.runtime.inspector import Decoded, Inspector, Result
from onspec.service.body import Upload
from onspec.service.queue import WORTH_A_THREAD, BatchPolicy, DeadlineError, JudgeQueue, QueueFullError


class Gate:
    """Holds an inspector's judging until it is opened, and remembers what was judged in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *inspectors: Inspector) -> None:
        self.open, self.entered = threading.Event(), threading.Event()
        self.seen: list[tuple[str, str]] = []
        for inspector in inspectors:
            monkeypatch.setattr(inspector, "inspect_decoded", self._held(inspector, inspector.inspect_decoded))

    def _held(self, inspector: Inspector, judge: Callable[..., Result]) -> Callable[..., Result]:
        def held(decoded: Decoded, name: str, part_id: str | None) -> Result:
            self.entered.set()
            assert self.open.wait(20)
            self.seen.append((inspector.recipe.name, name))
            return judge(decoded, name, part_id)

        return held


@pytest.fixture
def queues() -> Iterator[Callable[..., JudgeQueue]]:
    """Makes queues from a policy's settings and closes them."""
    made: list[JudgeQueue] = []

    def make(**settings: float) -> JudgeQueue:
        made.append(JudgeQueue(BatchPolicy(**settings)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def test_a_verdict_comes_back(tiny: Inspector, defective: bytes, queues: Callable[..., JudgeQueue]) -> None:
    result = asyncio.run(queues().judge(tiny, Upload(defective, "a.png"), "17"))
    assert (result.inspection.verdict, result.inspection.image, result.inspection.part_id) == ("NG", "a.png", "17")


def test_a_broken_image_among_others_harms_none(
    tiny: Inspector, good: bytes, defective: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, tiny)

    async def crowd() -> list[Result]:
        files = [good, good[:-20], defective, b"", defective]
        tasks = [asyncio.create_task(queue.judge(tiny, Upload(data, str(n)))) for n, data in enumerate(files)]
        await asyncio.to_thread(gate.entered.wait, 10)
        gate.open.set()
        return list(await asyncio.gather(*tasks))

    queue = queues(max_batch=8)
    assert [result.inspection.verdict for result in asyncio.run(crowd())] == ["OK", "ERROR", "NG", "ERROR", "NG"]
    assert queue.places == 0


def test_a_fault_reaches_its_asker_and_frees_the_place(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queues(max_queue=1)

    def fail(*_: object) -> Result:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(tiny, "inspect_decoded", fail)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                asyncio.run(queue.judge(tiny, Upload(good)))
    assert asyncio.run(queue.judge(tiny, Upload(good))).inspection.verdict is Verdict.OK


def test_one_too_many_is_refused_at_once_and_the_others_are_judged(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, queue = Gate(monkeypatch, tiny), queues(max_queue=3)

    async def crowd() -> list[Result]:
        tasks = [asyncio.create_task(queue.judge(tiny, Upload(good))) for _ in range(3)]
        await asyncio.to_thread(gate.entered.wait, 10)
        assert queue.places == 3
        start = time.perf_counter()
        with pytest.raises(QueueFullError, match="3 images"):
            await queue.judge(tiny, Upload(good))
        with pytest.raises(QueueFullError, match="3 images"):
            queue.require_place(tiny)
        assert time.perf_counter() - start < 1
        gate.open.set()
        return list(await asyncio.gather(*tasks))

    assert [result.inspection.verdict for result in asyncio.run(crowd())] == ["OK"] * 3
    queue.require_place(tiny)


def test_at_its_deadline_a_waiting_image_is_given_up_and_never_judged(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, queue = Gate(monkeypatch, tiny), queues()

    async def crowd() -> None:
        first = asyncio.create_task(queue.judge(tiny, Upload(good, "first")))
        await asyncio.to_thread(gate.entered.wait, 10)
        start = time.perf_counter()
        with pytest.raises(DeadlineError, match="50 ms passed while it waited"):
            await queue.judge(tiny, Upload(good, "second"), deadline_ms=50)
        assert time.perf_counter() - start < 5
        assert queue.places == 1
        gate.open.set()
        await first
        await queue.judge(tiny, Upload(good, "third"))

    asyncio.run(crowd())
    assert [name for _, name in gate.seen] == ["first", "third"]


def test_a_verdict_after_the_deadline_is_dropped_and_said(
    tiny: Inspector,
    good: bytes,
    queues: Callable[..., JudgeQueue],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate, queue = Gate(monkeypatch, tiny), queues()

    async def late() -> None:
        with pytest.raises(DeadlineError, match="in work"):
            await queue.judge(tiny, Upload(good, "slow"), deadline_ms=50)
        gate.open.set()
        await queue.judge(tiny, Upload(good, "next"))

    asyncio.run(late())
    assert [record.message for record in caplog.records] == ["late"]


def test_what_would_wait_beyond_its_deadline_is_refused_at_once(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, judge = queues(), tiny.inspect_decoded

    def slowly(decoded: Decoded, name: str, part_id: str | None) -> Result:
        time.sleep(0.1)
        return judge(decoded, name, part_id)

    monkeypatch.setattr(tiny, "inspect_decoded", slowly)

    async def crowd() -> None:
        await queue.judge(tiny, Upload(good))  # now it knows what an image takes
        tasks = [asyncio.create_task(queue.judge(tiny, Upload(good))) for _ in range(5)]
        await asyncio.sleep(0.02)
        with pytest.raises(QueueFullError, match="longer than the deadline") as refused:
            await queue.judge(tiny, Upload(good), deadline_ms=200)
        assert refused.value.retry_after_s > 0.2
        await asyncio.gather(*tasks)

    asyncio.run(crowd())


def test_recipes_take_turns_by_the_time_they_take(
    tiny: Inspector, other: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, queue = Gate(monkeypatch, tiny, other), queues(max_batch=1)

    async def crowd() -> None:
        many = [asyncio.create_task(queue.judge(tiny, Upload(good))) for _ in range(20)]
        await asyncio.to_thread(gate.entered.wait, 10)
        few = [asyncio.create_task(queue.judge(other, Upload(good))) for _ in range(3)]
        await asyncio.sleep(0.05)
        gate.open.set()
        await asyncio.gather(*many, *few)

    asyncio.run(crowd())
    last = max(at for at, (recipe, _) in enumerate(gate.seen) if recipe == "other")
    assert last < 15  # behind 20 of the other recipe's they came all the same


def test_images_that_wait_are_taken_together_up_to_the_batch(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, sizes = queues(max_batch=4, max_wait_ms=300), []
    take = queue._next_batch

    def counted() -> object:
        batch = take()
        sizes.append(len(batch or []))
        return batch

    monkeypatch.setattr(queue, "_next_batch", counted)

    async def crowd(count: int) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(queue.judge(tiny, Upload(good)) for _ in range(count)))
        return time.perf_counter() - start

    asyncio.run(crowd(1))  # the thread is in the patched loop from here on
    assert asyncio.run(crowd(4)) < 0.3  # full: nobody waits
    assert 0.3 <= asyncio.run(crowd(2)) < 2  # not full: the first waits for others, and no longer
    assert sizes[-2:] == [4, 2]


def test_large_files_are_decoded_beside_the_engine(
    tiny: Inspector,
    make_part: Callable[..., NDArray[Any]],
    queues: Callable[..., JudgeQueue],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode_image(make_part())
    data = data[:-12] + bytes(0) + data[-12:]
    threads: list[str] = []

    class Large(Upload):
        @property
        def weight(self) -> int:
            return WORTH_A_THREAD

        def read(self, inspector: Inspector) -> Decoded:
            threads.append(threading.current_thread().name)
            return super().read(inspector)

    gate, queue = Gate(monkeypatch, tiny), queues()

    async def crowd() -> None:
        tasks = [asyncio.create_task(queue.judge(tiny, Large(data))) for _ in range(12)]
        await asyncio.to_thread(gate.entered.wait, 10)
        await asyncio.sleep(0.1)
        read_ahead = threads.count("decode")
        assert 0 < read_ahead <= 2 * sum(thread.name == "decode" for thread in queue._threads)
        gate.open.set()
        assert {result.inspection.verdict for result in await asyncio.gather(*tasks)} == {Verdict.OK}

    asyncio.run(crowd())
    assert len(threads) == 12


def test_an_asker_that_leaves_harms_nobody(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, queue = Gate(monkeypatch, tiny), queues()

    async def leave() -> None:
        tasks = [asyncio.create_task(queue.judge(tiny, Upload(good, str(n)))) for n in range(3)]
        await asyncio.to_thread(gate.entered.wait, 10)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        assert (await tasks[2]).inspection.verdict is Verdict.OK

    asyncio.run(leave())
    assert [name for _, name in gate.seen] == ["0", "2"]
    assert queue.places == 0


def test_closing_finishes_what_was_accepted_and_takes_no_more(tiny: Inspector, good: bytes) -> None:
    queue = JudgeQueue()

    async def accept() -> list[Result]:
        tasks = [asyncio.create_task(queue.judge(tiny, Upload(good))) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.to_thread(queue.close)
        with pytest.raises(QueueFullError, match="stopping"):
            await queue.judge(tiny, Upload(good))
        return list(await asyncio.gather(*tasks))

    assert [result.inspection.verdict for result in asyncio.run(accept())] == ["OK"] * 5


def test_an_engine_fault_is_an_error_and_not_the_end(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise EngineError("the engine lost its device")

    queue = queues()
    with monkeypatch.context() as patch:
        patch.setattr(tiny._engine, "infer", fail)
        result = asyncio.run(queue.judge(tiny, Upload(good)))
    assert result.inspection.verdict is Verdict.ERROR
    assert isinstance(result.cause, EngineError)
    assert asyncio.run(queue.judge(tiny, Upload(good))).inspection.verdict is Verdict.OK


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_judging_thread_that_ended_does_not_look_well(
    tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = queues()

    def fail(*_: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr(queue, "_account", fail)
    with pytest.raises(DeadlineError):
        asyncio.run(queue.judge(tiny, Upload(good), deadline_ms=300))
    assert "judging ended by a fault (KeyError: 'gone'); restart the service" in str(queue.at_work.fault)
    with pytest.raises(QueueFullError, match="judging ended by a fault"):
        asyncio.run(queue.judge(tiny, Upload(good)))


def test_an_idle_queue_takes_no_cpu(tiny: Inspector, good: bytes, queues: Callable[..., JudgeQueue]) -> None:
    asyncio.run(queues(max_wait_ms=5).judge(tiny, Upload(good)))
    before = time.process_time()
    time.sleep(2)
    assert time.process_time() - before < 0.02


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"max_queue": 0}, {"max_wait_ms": -1.0}, {"deadline_ms": 0.0}])
def test_a_queue_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must"):
        BatchPolicy(**wrong)


def test_what_was_refused_is_not_held_while_others_are_read(
    tiny: Inspector, queues: Callable[..., JudgeQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading thread that is slow must not keep the files of all who went meanwhile."""
    read, queue = threading.Event(), queues(deadline_ms=20_000)
    monkeypatch.setattr(tiny, "decode", lambda *_: Decoded(None, float(read.wait(20)), ImageError("none")))

    async def crowd() -> int:
        held = [asyncio.create_task(queue.judge(tiny, Upload(bytes(WORTH_A_THREAD)))) for _ in range(8)]
        await asyncio.sleep(0.1)
        for _ in range(5):
            late = [queue.judge(tiny, Upload(bytes(WORTH_A_THREAD)), deadline_ms=20) for _ in range(10)]
            assert all(isinstance(each, DeadlineError) for each in await asyncio.gather(*late, return_exceptions=True))
        left = len(queue._large)
        read.set()
        await asyncio.gather(*held)
        return left

    assert asyncio.run(crowd()) <= 8
