import pytest

from mmbench.data.canvas import Canvas


@pytest.mark.parametrize(
    ("height", "width", "fitted"),
    [
        (480, 640, (36, 48)),
        (640, 480, (48, 36)),
        (48, 48, (48, 48)),
        (100, 1000, (4, 48)),
        (1, 1000, (4, 48)),
        (21, 30, (20, 28)),
        (30, 47, (28, 44)),
        (3, 2, (4, 4)),
    ],
)
def test_a_native_picture_keeps_its_ratio_and_is_not_enlarged(height: int, width: int, fitted: tuple[int, int]) -> None:
    assert Canvas(48, "native", 4).fit(height, width) == fitted
    assert Canvas(48).fit(height, width) == (48, 48)
