import numpy as np

from dreamlab.agents.regression import Regression
from tests.agents.conftest import WordEmbedder


def test_an_example_is_of_its_own_label() -> None:
    embedder = WordEmbedder()
    texts = ["hot soup", "warm soup", "bus ticket", "bus ride"]
    model = Regression(embedder.embed(texts), ["food", "food", "ride", "ride"], ["food", "ride"])
    scores = model.scores(embedder.embed(["soup tonight", "ticket"]))
    assert scores.shape == (2, 2)
    assert scores[0].argmax() == 0
    assert scores[1].argmax() == 1


def test_a_regression_over_nothing_scores_nothing() -> None:
    model = Regression(np.zeros((0, 8), np.float32), [], ["food"])
    assert np.array_equal(model.scores(np.ones((2, 8), np.float32)), np.zeros((2, 1)))
