"""The coarse network: exact whole numbers, and whatever is none is a fault."""

from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import onspec.runtime.coarse as coarse_file
from onspec.domain import EngineError
from onspec.imaging.preparation import prepare
from onspec.recipe.package import Package
from onspec.runtime.coarse import Coarse, CoarseNetwork, around, made_up_levels
from onspec.runtime.engines import open_engine
from onspec.runtime.lanes import Lanes
from onspec.training import coarse_network


@pytest.fixture(scope="module")
def learned() -> bytes:
    """A network as `onspec hasten` exports it, with weights by chance and answers all over the range."""
    torch.manual_seed(1)
    network = coarse_network.CoarseNetwork(1)
    noise = torch.rand(8, 1, 96, 128)
    for _ in range(20):
        network.train()(noise)  # moves the running statistics away from their start
    with torch.no_grad():
        logits = network.eval()(noise)
        network.head.weight *= 3.0 / logits.std()
        network.head.bias -= network(noise).mean()
    return coarse_network.to_whole_onnx(network)


def test_another_engine_gives_the_same_bits(learned: bytes) -> None:
    """So a limit never cuts through what only rounding tells apart; where the fine network looks is a fact."""
    levels = np.stack([made_up_levels((1, 192, 256)), 255 - made_up_levels((1, 192, 256))]).astype(np.float32)
    with closing(open_engine("onnxruntime", learned, 1)) as one, closing(open_engine("openvino", learned, 2)) as other:
        answers = one.infer(levels)
        assert len(np.unique(answers)) > 20
        np.testing.assert_array_equal(answers, other.infer(levels))


def test_rows_taken_at_a_time_and_threads_change_no_bit(learned: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = made_up_levels((1, 640, 96))
    with closing(open_engine("onnxruntime", learned, 2)) as engine:
        whole = engine.infer(levels[None].astype(np.float32))[0, 0]
    monkeypatch.setattr(coarse_file, "_PIXELS", 2 * 32 * 96)
    with closing(CoarseNetwork(learned, 32)) as network:
        answers = network.answers(levels)
    assert answers.dtype == np.uint8
    np.testing.assert_array_equal(answers, whole)


class Answers:
    """An engine whose output a test decides."""

    name = "broken"

    def __init__(self, output: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self.output = output

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.output(batch)

    def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (lambda b: np.full((1, 1, 2, 3), np.nan, np.float32), "answers from nan to nan"),
        (lambda b: np.full((1, 1, 2, 3), np.inf, np.float32), "answers from inf"),
        (lambda b: np.full((1, 1, 2, 3), 256, np.float32), "from 256.0 to 256.0; allowed: whole numbers from 0 to 255"),
        (lambda b: np.full((1, 1, 2, 3), -1, np.float32), "from -1.0"),
        (lambda b: np.full((1, 1, 2, 3), 7.5, np.float32), "from 7.5 to 7.5"),
        (lambda b: np.zeros((1, 1, 2, 2), np.float32), r"gave float32 \(1, 1, 2, 2\); this recipe takes float32"),
        (lambda b: np.zeros((1, 1, 2, 3)), "gave float64"),
    ],
)
def test_what_is_no_answer_is_a_fault(
    output: Callable[[NDArray[np.float32]], NDArray[np.float32]], says: str, learned: bytes
) -> None:
    with closing(CoarseNetwork(learned, 32)) as network:
        network._lanes = Lanes([Answers(output)])
        with pytest.raises(EngineError, match=says):
            network.answers(np.zeros((1, 64, 96), np.uint8))


def test_a_network_that_answers_otherwise_than_when_it_was_packed_is_refused(
    tiny_package: Package, make_hastened: Callable[..., Package]
) -> None:
    with pytest.raises(EngineError, match="does not answer a made-up image as it did when the recipe was made"):
        Coarse(make_hastened(tiny_package, answer="0" * 64))


def test_it_looks_at_bright_blocks_and_their_neighbours(
    tiny_package: Package, make_hastened: Callable[..., Package], make_part: Callable[..., NDArray[np.uint8]]
) -> None:
    package = make_hastened(tiny_package)
    with closing(Coarse(package)) as coarse:
        dark = coarse.looks_at(prepare(make_part(size=(128, 96)), package.recipe.input))
        bright = coarse.looks_at(prepare(make_part((70, 40, 3, 3), size=(128, 96)), package.recipe.input))
    assert not dark.any()
    assert bright.tolist() == [[False, True, True, True]] * 3
    assert around(np.eye(4, dtype=bool)[:1])[0].tolist() == [True, True, False, False]


def test_the_made_up_image_is_the_same_everywhere_and_full_of_grain() -> None:
    levels = made_up_levels((1, 64, 96))
    assert levels[0, 0, :6].tolist() == made_up_levels((1, 64, 96))[0, 0, :6].tolist()
    assert levels.std() > 25
    assert (int(levels.min()), int(levels.max())) != (0, 0)
    assert np.abs(np.diff(levels.astype(int), axis=2)).mean() > 10
