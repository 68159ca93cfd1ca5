import numpy as np

from mmbench.config.data import ScenesSettings
from mmbench.data.order import Stream, by_difficulty, draws, permutation, positions_of_step, rows_of_step
from mmbench.data.scenes import Scenes


def test_each_epoch_shows_every_image_once_and_epochs_differ() -> None:
    stream = np.concatenate([rows_of_step(3, step, 4, 10) for step in range(5)])
    first, second = stream[:10], stream[10:20]
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_a_batch_may_span_epochs_and_says_which() -> None:
    _, epochs = positions_of_step(0, 2, 4, 10)
    assert epochs.tolist() == [0, 0, 1, 1]


def test_the_order_is_a_function_of_seed_and_step_alone() -> None:
    forwards = [rows_of_step(1, step, 8, 21).tolist() for step in range(6)]
    np.random.seed(5)
    permutation.cache_clear()
    backwards = [rows_of_step(1, step, 8, 21).tolist() for step in reversed(range(6))][::-1]
    assert forwards == backwards
    assert forwards != [rows_of_step(2, step, 8, 21).tolist() for step in range(6)]


def test_the_order_does_not_change_between_releases() -> None:
    assert rows_of_step(0, 0, 8, 8).tolist() == [2, 7, 5, 1, 0, 4, 6, 3]


def test_the_order_has_nothing_to_do_with_what_the_scenes_show() -> None:
    # Both draw from Philox by small numbers; an order with the scenes' own draws sorts them by their objects.
    world = Scenes(ScenesSettings(train=3000)).world("train")
    counts = world.present.sum(axis=1)[rows_of_step(0, 0, 3000, 3000)]
    thirds = counts.reshape(3, 1000).mean(axis=1)
    assert abs(thirds - counts.mean()).max() < 0.1


def test_draws_of_one_purpose_do_not_depend_on_their_number_nor_on_other_purposes() -> None:
    assert draws(0, 1, 5, Stream.CAPTIONS).tolist() == draws(0, 1, 9, Stream.CAPTIONS).tolist()[:5]
    assert draws(0, 1, 5, Stream.CAPTIONS).tolist() != draws(0, 1, 5, Stream.QUESTIONS).tolist()


def test_a_curriculum_rises_in_levels_that_are_shuffled() -> None:
    difficulty = np.random.default_rng(0).integers(0, 30, 40).astype(float)
    order = by_difficulty(3, difficulty)
    assert sorted(order) == list(range(40))
    levels = difficulty[order].reshape(4, 10)
    assert all(levels[k].max() <= levels[k + 1].min() for k in range(3))
    assert all((np.diff(level) < 0).any() for level in levels), "no level is sorted within"
    assert order.tolist() == by_difficulty(3, difficulty).tolist() != by_difficulty(4, difficulty).tolist()
    assert by_difficulty(3, np.ones(40)).tolist() == permutation(3, 0, 40).tolist()


def test_a_curriculum_is_over_after_the_first_epoch() -> None:
    first_epoch = np.arange(10)
    stream = np.concatenate([positions_of_step(3, step, 4, 10, first_epoch)[0] for step in range(5)])
    assert stream[:10].tolist() == list(range(10))
    assert stream[10:].tolist() == permutation(3, 1, 10).tolist()
