import numpy as np

from mmbench.config.data import ScenesSettings
from mmbench.data.order import Stream, draws, permutation, positions_of_step, rows_of_step
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
