"""Classes exclude one another: their scores and that of good surface add up to 1."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onspec.training.objectives.exclusive import any_logit, class_scores, log_scores


def logits_of(seed: int, classes: int, spread: float = 8.0) -> torch.Tensor:
    return spread * torch.randn(2, classes, 3, 5, generator=torch.Generator().manual_seed(seed))


def test_one_class_is_a_sigmoid() -> None:
    logits = logits_of(0, 1)
    assert torch.equal(class_scores(logits), logits.sigmoid())


@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([0.1, 8.0, 200.0]))
def test_scores_never_add_up_to_more_than_one(seed: int, classes: int, spread: float) -> None:
    logits = logits_of(seed, classes, spread)
    scores = class_scores(logits)
    assert scores.min() >= 0
    assert scores.sum(dim=1).max() <= 1 + 1e-6
    torch.testing.assert_close(log_scores(logits)[:, 1:].exp(), scores)
    torch.testing.assert_close(log_scores(logits).exp().sum(dim=1), torch.ones(2, 3, 5))
    torch.testing.assert_close(any_logit(logits).sigmoid(), scores.sum(dim=1, keepdim=True), atol=1e-6, rtol=1e-5)


def test_a_score_depends_on_good_surface_and_on_the_other_class() -> None:
    two = torch.tensor([1.0, 2.0]).log().reshape(1, 2, 1, 1)
    assert class_scores(two).flatten().tolist() == pytest.approx([1 / 4, 2 / 4])
