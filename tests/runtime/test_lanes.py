"""Engines side by side: how many, lent to one thread each; and they change no verdict."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import EngineError, Task, Verdict
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe.package import Package
from onspec.runtime.engines import ENGINES, obstacle, open_engine
from onspec.runtime.inspector import Inspector
from onspec.runtime.lanes import FOLDER, SIDE_BY_SIDE, Lanes, Plan, images_in, plan_lanes

MakePart = Callable[..., NDArray[np.uint8]]
CPU_ENGINES = sorted(name for name in SIDE_BY_SIDE if obstacle(name) is None)


def spec(side: int, **more: object) -> InputSpec:
    """Square images of one size."""
    extent = Extent(min=side, max=side)
    return InputSpec.model_validate({"width": extent, "height": extent, **more})


@pytest.mark.parametrize(
    ("engine", "images", "cores", "side", "expected"),
    [
        ("onnxruntime", 1000, 2, 512, Plan(2, 1)),
        ("openvino", 1000, 2, 512, Plan(2, 1)),
        ("onnxruntime", 1000, 32, 512, Plan(8, 4)),
        ("onnxruntime", 1000, 1, 512, Plan()),
        ("onnxruntime", None, 2, 512, Plan()),  # one by one: each is waited for
        ("onnxruntime", FOLDER - 1, 2, 512, Plan()),
        ("tensorrt", 1000, 2, 512, Plan()),
        ("torch", 1000, 2, 512, Plan()),
        ("auto", 1000, 2, 512, Plan()),
        ("onnxruntime", 1000, 16, 2000, Plan(4, 4)),  # a gigabyte of activations each
        ("onnxruntime", 1000, 16, 20_000, Plan(4, 4)),  # in tiles
    ],
)
def test_as_many_lanes_as_cores_and_memory_allow(
    engine: str, images: int | None, cores: int, side: int, expected: Plan
) -> None:
    assert plan_lanes(engine, images, spec(side), cores) == expected


def test_engines_that_run_side_by_side_are_in_the_table() -> None:
    assert set(ENGINES) >= SIDE_BY_SIDE


def test_so_few_large_images_wait_that_they_fit_into_memory(tiny_package: Package) -> None:
    recipe = tiny_package.recipe
    assert images_in(5 * 128 * 96 * 3, recipe) == 3  # a byte of gray and four of scores
    assert images_in(1, recipe) == 1


class Slow:
    """An engine that notices when it is used twice at a time."""

    name = "slow"

    def __init__(self) -> None:
        self.busy, self.runs, self.clash, self.closed = False, 0, False, False

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.clash |= self.busy or self.closed
        self.busy = True
        time.sleep(0.005)
        self.busy = False
        self.runs += 1
        return batch * 0

    def close(self) -> None:
        assert not self.busy
        self.closed = True


def test_each_engine_is_lent_to_one_thread_at_a_time() -> None:
    engines = [Slow(), Slow(), Slow()]
    lanes = Lanes(engines)

    def use() -> None:
        for _ in range(10):
            with lanes.free() as engine:
                engine.infer(np.zeros((1, 1, 1, 1), np.float32))

    threads = [threading.Thread(target=use) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [engine.clash for engine in engines] == [False] * 3
    assert sum(engine.runs for engine in engines) == 70
    assert min(engine.runs for engine in engines) > 0


def test_closing_waits_for_what_runs_and_may_be_done_twice_at_once() -> None:
    engines = [Slow(), Slow()]
    lanes = Lanes(engines)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with lanes.free():
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    closers = [threading.Thread(target=lanes.close) for _ in range(2)]
    holder.start()
    entered.wait(10)
    for closer in closers:
        closer.start()
    time.sleep(0.05)
    assert not any(engine.closed for engine in engines)
    leave.set()
    for thread in (holder, *closers):
        thread.join(10)
        assert not thread.is_alive()
    assert all(engine.closed for engine in engines)


def test_an_error_gives_the_engine_back() -> None:
    lanes = Lanes([Slow()])
    with pytest.raises(EngineError), lanes.free():
        raise EngineError("a fault")
    with lanes.free() as engine:
        assert engine.name == "slow"


@pytest.mark.parametrize("engine", CPU_ENGINES)
@pytest.mark.parametrize("task", Task)
def test_lanes_and_threads_change_no_result(
    task: Task,
    engine: str,
    make_toned: Callable[..., Package],
    make_toned_part: MakePart,
    tmp_path: Path,
) -> None:
    package, rng = make_toned(task), np.random.default_rng(0)
    paths = [tmp_path / f"{n:02d}.png" for n in range(24)]
    for path in paths:
        x, y, gray = (int(v) for v in rng.integers((0, 0, 0), (70, 44, 256)))
        write_image(path, make_toned_part((x, y, 20, 16, gray), size=(96, 64)))
    paths[5].write_bytes(b"hello")
    with closing(Inspector(package, engine, threads=1)) as one:
        alone = [one.inspect_file(path).inspection for path in paths]
    with closing(Inspector(package, engine, threads=1, lanes=3)) as many:
        together = [r.inspection for r in many.inspect_files(paths, workers=2)]
    assert [i.model_copy(update={"ms": {}}) for i in together] == [i.model_copy(update={"ms": {}}) for i in alone]
    assert {i.verdict for i in alone} >= {Verdict.OK, Verdict.NG, Verdict.ERROR}


@pytest.fixture(scope="module")
def engines(make_exported: Callable[[str], bytes]) -> Iterator[list[Callable[[NDArray[np.float32]], object]]]:
    """The default network on each CPU engine."""
    opened = [open_engine(name, make_exported("lite, learned"), 2) for name in CPU_ENGINES]
    yield [engine.infer for engine in opened]
    for engine in opened:
        engine.close()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), size=st.integers(2, 5), place=st.integers(0, 4))
def test_the_size_of_a_batch_changes_no_score(
    engines: list[Callable[[NDArray[np.float32]], NDArray[np.float32]]], seed: int, size: int, place: int
) -> None:
    batch = np.random.default_rng(seed).uniform(-1, 1, (size, 1, 96, 128)).astype(np.float32)
    place %= size
    for infer in engines:
        alone = infer(batch[place : place + 1])
        np.testing.assert_allclose(infer(batch)[place], alone[0], rtol=0, atol=1e-6)


def test_an_inspector_opens_and_closes_all_its_lanes(tiny_package: Package, make_part: MakePart) -> None:
    made = Inspector(tiny_package, "onnxruntime", threads=1, lanes=3)
    assert made.lanes.count == 3
    made.close()
    inspections = [made.inspect_bytes(encode_image(make_part()), "x.png").inspection for _ in range(3)]
    assert [i.verdict for i in inspections] == [Verdict.ERROR] * 3
    assert all("closed" in str(i.error) for i in inspections)


def test_a_slow_image_is_waited_for_in_its_place(tiny_package: Package, make_part: MakePart, tmp_path: Path) -> None:
    large = replace(
        tiny_package,
        recipe=tiny_package.recipe.model_copy(
            update={"input": InputSpec(width=Extent(min=64, max=4000), height=Extent(min=48, max=4000))}
        ),
    )
    paths = []
    for n in range(12):
        paths.append(tmp_path / f"{n}.png")
        write_image(paths[-1], make_part(size=(2000, 2000) if n % 4 == 0 else (96, 64)))
    with closing(Inspector(large, "onnxruntime", threads=1, lanes=2)) as made:
        assert [r.inspection.image for r in made.inspect_files(paths)] == [str(path) for path in paths]
