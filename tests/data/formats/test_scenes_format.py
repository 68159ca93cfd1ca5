from mmbench.config.data import ScenesSettings, SourceSettings
from mmbench.data.example import SceneImage
from mmbench.data.formats.scenes import read


def test_every_split_has_captions_and_questions_with_ten_answers() -> None:
    settings = ScenesSettings(train=12, validation=3, test=4, composition=2)
    parsed = read(SourceSettings(scenes=settings))
    assert {split: len(e) for split, e in parsed.splits.items()} == {
        "train": 12,
        "validation": 3,
        "test": 4,
        "composition": 2,
    }
    example = parsed.splits["test"][1]
    assert example.image_id == "test-000001" and example.image == SceneImage(settings, "test", 1)
    assert len(set(example.captions)) == 5
    assert all(len(q.answers) == 10 and len(set(q.answers)) == 1 and q.kind for q in example.questions)
    assert parsed.redistributable
