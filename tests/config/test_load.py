"""Where settings come from and in which order, that they are saved and read back exactly, and every refusal."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from mmbench.config.errors import UserError
from mmbench.config.load import load_data, load_settings, load_settings_file, save_settings, settings_difference
from mmbench.config.presets import config_dir, preset_names
from mmbench.config.settings import Settings
from mmbench.nn.connectors import build_connector


def test_each_source_overrides_the_ones_before_it(tmp_path: Path) -> None:
    scale = tmp_path / "mine.yaml"
    scale.write_text(
        "budget: 100samples\nseeds: [5]\nimage_size: 32\ntraining: {batch_rows: 96, learning_rate: 2e-4}\n"
    )
    from_scale = load_settings(["unified"], scale=str(scale))
    assert (from_scale.budget, from_scale.seeds, from_scale.image_size) == ("100samples", [5], 32)
    assert from_scale.training.learning_rate == 2e-4
    assert from_scale.training.contrastive_group == Settings().training.contrastive_group, "the default stays"
    assert from_scale.scale == str(scale)

    given = load_settings(["unified"], scale=str(scale), budget="7steps", seeds=2, overrides=["image_size=64"])
    assert (given.budget, given.seeds, given.image_size) == ("7steps", [0, 1], 64)
    last = load_settings(["unified"], scale=str(scale), budget="7steps", overrides=["budget=9steps"])
    assert last.budget == "9steps"


def test_systems_by_name_by_path_and_under_another_name(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("family: package.module:Class\nstages: [{share: 0.25, train: [a]}, {share: 0.75}]\n")
    settings = load_settings(["unified", "second=unified", str(own), f"third={own}"])
    assert list(settings.systems) == ["unified", "second", "own", "third"]
    assert settings.systems["second"] == settings.systems["unified"]
    assert settings.systems["third"] == settings.systems["own"]
    assert [stage.share for stage in settings.systems["own"].stages] == [0.25, 0.75]


def test_overrides_reach_every_kind_of_value() -> None:
    settings = load_settings(
        ["unified", "llava-1.5=unified"],
        overrides=[
            "training.learning_rate=1e-2",
            "training.betas=[0.8, 0.9]",
            "training.rows={captions: 3}",
            "trainer.precision=32",
            "trainer.micro_batch_rows=4",
            "data.sources.0.scenes.train=10",
            "systems.llava-1.5.options.connector.kind=mlp",
            "systems.unified.stages=[{share: 1, learning_rate_factor: {encoder: 0.1}}]",
            "systems.unified.stages.0.learning_rate_factor.connector=2",
            "encoder.options={img_size: 48, text: '48'}",
            "data.name=a=b",
        ],
    )
    assert settings.training.learning_rate == 0.01
    assert settings.training.betas == (0.8, 0.9)
    assert (settings.training.rows.captions, settings.training.rows.questions) == (3, 6), "the section's rest stays"
    assert settings.trainer.precision == "32", "text stays text"
    assert settings.trainer.micro_batch_rows == 4
    assert settings.data.sources[0].scenes.train == 10
    assert settings.systems["llava-1.5"].options["connector"] == {"kind": "mlp"}
    assert settings.systems["unified"].stages[0].learning_rate_factor == {"encoder": 0.1, "connector": 2.0}
    assert settings.encoder.options == {"img_size": 48, "text": "48"}
    assert settings.data.name == "a=b"


def test_saved_settings_are_read_back_exactly(tmp_path: Path) -> None:
    settings = load_settings(["unified", "x=crossattn"], budget="3e14flops", overrides=["training.learning_rate=3e-7"])
    settings.systems["x"].options = {
        "number_as_text": "1e-3",
        "null_as_text": "null",
        "truth_as_text": "yes",
        "date": "2024-01-31",
        "octal": "017",
        "nested": {"class_path": "pathlib.Path", "list": [1, 1.0, "1", None, True, {"a": -2.5e-9}]},
        "lines": "one\ntwo: three # four\n",
        "signs": "größer → ✓",
        "whole": 10**20,
        "large": 1e300,
    }
    settings.systems["x"].paper = "12"
    settings.trainer.devices = [0, 1]
    settings.data.max_train_images = 5
    path = tmp_path / "run" / "comparison.yaml"
    save_settings(settings, path)
    again = load_settings_file(path)
    assert again == settings
    assert list(again.systems) == ["unified", "x"]
    number = again.systems["x"].options["nested"]["list"][1]
    assert isinstance(number, float)
    first = path.read_bytes()
    save_settings(again, path)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["comparison.yaml"], "nothing is left beside it"


def test_a_saved_comparison_is_run_again_as_a_scale(tmp_path: Path) -> None:
    settings = load_settings(["unified", "hybrid"], seeds=2, overrides=["image_size=32"])
    save_settings(settings, tmp_path / "comparison.yaml")
    again = load_settings([], scale=str(tmp_path / "comparison.yaml"))
    assert again == settings
    renamed = load_settings([], scale=str(tmp_path / "comparison.yaml"), name="again")
    assert renamed.name == "again"
    assert settings_difference(settings, renamed) == []


def test_the_default_name_is_a_function_of_systems_and_settings() -> None:
    one = load_settings(["unified", "hybrid"])
    assert re.fullmatch(r"unified-hybrid-[0-9a-f]{8}", one.name)
    assert load_settings(["unified", "hybrid"]).name == one.name
    assert load_settings(["unified", "hybrid"], overrides=["tracking.experiment=other"]).name == one.name
    assert load_settings(["unified", "hybrid"], overrides=["training.weight_decay=0.06"]).name != one.name
    whole = load_settings(["unified"], overrides=["training.weight_decay=1"])
    assert load_settings(["unified"], overrides=["training.weight_decay=1.0"]).name == whole.name
    many = load_settings([f"a-rather-long-name-{number}=unified" for number in range(30)])
    assert len(many.name) < 100
    assert "more" in many.name


def test_differences_name_the_key_and_both_values() -> None:
    a = load_settings(["unified"], overrides=["training.learning_rate=0.001"])
    b = load_settings(["unified", "x=unified"], name="other", overrides=["training.learning_rate=0.002"])
    differences = settings_difference(a, b)
    assert "training.learning_rate: 0.001 -> 0.002" in differences
    assert 'systems.x.family: (not set) -> "unified"' in differences
    assert all(entry.startswith(("training.learning_rate:", "systems.x.")) for entry in differences)
    assert settings_difference(a, a) == []


def test_every_shipped_file_is_loaded() -> None:
    assert preset_names("scales") and preset_names("systems") and preset_names("data")
    for scale in preset_names("scales"):
        settings = load_settings(preset_names("systems"), scale=scale)
        assert list(settings.systems) == preset_names("systems")
    for data in preset_names("data"):
        assert load_settings(["unified"], data=data).data.sources
        assert load_data(data).sources
    assert (config_dir() / "scales" / "tiny.yaml").is_file()


def test_data_of_a_yaml_file_and_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "joined.yaml"
    file.write_text("sources:\n- {format: jsonl, path: a}\n- {format: vqa_v2, path: b, use: [questions]}\n")
    data = load_settings(["unified"], data=str(file)).data
    assert data.name == "joined"
    assert [(source.format, source.path, source.use) for source in data.sources] == [
        ("jsonl", "a", ["captions", "questions"]),
        ("vqa_v2", "b", ["questions"]),
    ]
    assert load_data(str(file)) == data


LORA = "systems.unified={family: unified, lora: {rank: 2}, stages: [{train: [lora]}]}"
MISTAKES: list[tuple[dict[str, object], str]] = [
    ({"systems": []}, "no system is named"),
    ({"systems": ["unifed"]}, "unknown system 'unifed'; did you mean 'unified'?"),
    ({"systems": ["nowhere/own.yaml"]}, "there is no system file 'nowhere/own.yaml'"),
    ({"systems": ["chance=unified"]}, "'chance', which is a baseline's name"),
    ({"systems": ["a/b=unified"]}, "only letters, digits"),
    ({"systems": ["..=unified"]}, "only letters, digits"),
    ({"systems": ["=unified"]}, "NAME=PRESET"),
    ({"systems": ["unified", "unified"]}, "two systems are called 'unified'"),
    ({"scale": "tyny"}, "unknown scale 'tyny'; did you mean 'tiny'?"),
    ({"scale": "nowhere.yaml"}, "there is no scale file 'nowhere.yaml'"),
    ({"data": "scene"}, "unknown data or path 'scene'; did you mean 'scenes'?"),
    ({"data": "no/such/folder"}, "there is no data at 'no/such/folder'"),
    ({"data": "nowhere.yaml"}, "there is no data file 'nowhere.yaml'"),
    ({"budget": "12"}, "budget '12' is not understood"),
    ({"budget": "0samples"}, "buys nothing"),
    ({"budget": "5parsecs"}, "unknown unit 'parsecs'"),
    ({"seeds": 0}, "at least 1"),
    ({"name": "a/b"}, "only letters, digits"),
    ({"name": ""}, "--name is empty"),
    ({"name": "pretraining"}, "its own files"),
    ({"overrides": ["unified"]}, "write KEY=VALUE"),
    ({"overrides": ["scale=tiny"]}, "--scale"),
    (
        {"overrides": ["training.learning_rat=1"]},
        "'training.learning_rat' in --set .*did you mean 'training.learning_rate'",
    ),
    ({"overrides": ["learning_rate=1"]}, "did you mean 'training.learning_rate'"),
    ({"overrides": ["frobnicate=1"]}, "known there: name, scale"),
    ({"overrides": ["systems.hybrid.family=unified"]}, "no 'hybrid'.*there are: unified"),
    ({"overrides": ["data.sources.1.path=x"]}, "1 items, numbered from 0"),
    ({"overrides": ["image_size.x=1"]}, "'image_size' is one value"),
    ({"overrides": ["image_size=big"]}, "'image_size' in --set image_size=big is 'big'; it must be a whole number"),
    ({"overrides": ["image_size=4.5"]}, "must be a whole number"),
    ({"overrides": ["image_size=true"]}, "must be a whole number"),
    ({"overrides": ["image_size=null"]}, "must be a whole number"),
    ({"overrides": ["image_size=0"]}, "at least 1"),
    ({"overrides": ["training.learning_rate=fast"]}, "must be a number"),
    ({"overrides": ["training.learning_rate=.nan"]}, "must be a number"),
    ({"overrides": ["training.betas=[0.9]"]}, "a list of 2 numbers"),
    ({"overrides": ["training.rows=3"]}, "a section with the keys captions, questions"),
    ({"overrides": ["training.rows={caption: 3}"]}, "did you mean 'training.rows.captions'"),
    ({"overrides": ["trainer.attention=flash"]}, "one of auto, sdpa, plain"),
    ({"overrides": ["trainer.micro_batch_rows=x"]}, "a whole number or null"),
    ({"overrides": ["trainer.micro_batch_rows=0"]}, "at least 1, or null"),
    ({"overrides": ["seeds=3"]}, "a list of whole numbers"),
    ({"overrides": ["seeds=[]"]}, "at least 1"),
    ({"overrides": ["seeds=[1, 1]"]}, "only once"),
    ({"overrides": ["seeds=[-1]"]}, "0 or more"),
    ({"overrides": ["seeds=[1"]}, "malformed YAML in --set"),
    ({"overrides": ["baselines=[blnd]"]}, "did you mean 'blind'"),
    ({"overrides": ["training.contrastive_group=7"]}, "does not divide 'training.batch_rows', 8"),
    ({"overrides": ["training.warmup_share=1.5"]}, "at most 1"),
    ({"overrides": ["training.rows={captions: 0, questions: 0}"]}, "at least one text"),
    ({"overrides": ["data.layout=native", "data.size_multiple=5"]}, "'data.size_multiple' is 5, which does not divide"),
    ({"overrides": ["data.num_answers=0"]}, "'data.num_answers' is 0; it must be at least 1"),
    ({"overrides": ["training.curriculum=long_first"]}, "training.curriculum"),
    ({"overrides": ["language_model.num_kv_heads=3"]}, "does not divide 'language_model.num_heads', 4"),
    ({"overrides": ["language_model.num_heads=10"]}, "does not divide"),
    ({"overrides": ["systems.unified.stages=[]"]}, "has no stages"),
    ({"overrides": ["systems.unified.stages=[{share: 0.5}, {share: 0.4}]"]}, "add up to 0.9; they must add up to 1"),
    ({"overrides": ["systems.unified.stages=[{share: 2}, {share: -1}]"]}, "it must be above 0"),
    ({"overrides": ["systems.unified.stages=[{train: []}]"]}, "is empty"),
    (
        {"overrides": ["systems.unified.stages=[{learning_rate_factor: {encoder: -0.5}}]"]},
        r"'systems\.unified\.stages\.0\.learning_rate_factor\.encoder' is -0\.5; it must be at least 0",
    ),
    ({"overrides": ["systems.unified.lora.rank=-1"]}, r"'systems\.unified\.lora\.rank' is -1"),
    ({"overrides": [LORA, "systems.unified.lora.targets=[]"]}, r"'systems\.unified\.lora\.targets' is empty"),
    ({"overrides": [LORA, "systems.unified.stages=[{train: [connector]}]"]}, "no stage trains them: name 'lora'"),
    (
        {"overrides": [LORA, "systems.unified.stages=[{train: [all, language_model]}]"]},
        "a stage trains 'language_model': leave it out",
    ),
    ({"overrides": ["data.sources=[]"]}, "at least one source"),
    ({"overrides": ["data.sources=[{format: jsonl}]"]}, "needs a path"),
    ({"overrides": ["data.sources=[{format: imagenet}]"]}, "one of scenes, jsonl"),
]


@pytest.mark.parametrize(("given", "message"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_way_out(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_settings(**{"systems": ["unified"], **given})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


FILES: list[tuple[str, str]] = [
    (
        "training: {learning_rat: 1}",
        "unknown key 'training.learning_rat' in {path}; did you mean 'training.learning_rate'?",
    ),
    ("a: [1\nb: 2", "malformed YAML in {path}, line 2"),
    ("image_size: 32\nimage_size: 64", "malformed YAML in {path}, line 2: the key 'image_size' stands twice"),
    ("- 1", "'{path}' must hold settings as 'key: value' lines"),
    ("image_size: [3]", "'image_size' in {path} is [3]; it must be a whole number"),
    ("data: {sources: {format: scenes}}", "'data.sources' in {path}"),
    ("systems: {a: {familly: unified}}", "unknown key 'systems.a.familly' in {path}; did you mean 'systems.a.family'?"),
    ("systems: {a: {stages: [{shar: 1}]}}", "did you mean 'systems.a.stages.0.share'?"),
    ("encoder: {options: {true: 2}}", "'encoder.options' in {path}"),
    ("budget: 2000", "write an amount and a unit"),
    ("\x00", "malformed YAML in {path}"),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_a_mistake_in_a_file_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_settings(["unified"], scale=str(path))
    assert message.format(path=path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_system_file_is_checked_against_its_own_keys(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("familly: unified\n")
    with pytest.raises(UserError, match=rf"unknown key 'familly' in {path}; did you mean 'family'\?"):
        load_settings([str(path)])


def test_whole_numbers_are_keys_of_options(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("options: {connector: query, connector_options: {queries: {16: 4}, num_heads: 2}}\n")
    options = load_settings([str(path)]).systems["own"].options["connector_options"]
    assert build_connector("query", 8, 12, (4, 4), options).num_tokens((4, 4)) == 4


def test_what_differs_at_a_scale_is_joined_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "options: {connector: c_abstractor, connector_options: {num_tokens: 4, depth: 1}}\n"
        "encoder: {options: {depth: 2}}\n"
        "scales: {small: {options: {connector_options: {num_tokens: 16}}, encoder: {weights: random}}}\n"
    )
    tiny = load_settings([str(path)]).systems["own"]
    small = load_settings([str(path)], scale="small", data="scenes").systems["own"]
    assert tiny.options["connector_options"] == {"num_tokens": 4, "depth": 1}
    assert small.options == {"connector": "c_abstractor", "connector_options": {"num_tokens": 16, "depth": 1}}
    assert (tiny.encoder, small.encoder) == ({"options": {"depth": 2}}, {"options": {"depth": 2}, "weights": "random"})
    assert tiny.scales == small.scales == {}, "a saved comparison says what it was, whatever scale it is run at"


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("{smal: {}}", r"unknown scale under 'scales' in .*own.yaml: 'smal'; did you mean 'small'\?"),
        ("{small: {option: {}}}", r"unknown key 'scales.small.option' in .*own.yaml; did you mean"),
        ("{small: {same_as: llava}}", "'scales.small.same_as' in .*own.yaml cannot differ from scale to scale"),
    ],
)
def test_what_cannot_differ_at_a_scale(tmp_path: Path, scales: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"scales: {scales}\n")
    with pytest.raises(UserError, match=message):
        load_settings([str(path)])


def test_scales_stand_in_a_file_only() -> None:
    with pytest.raises(UserError, match=r"'systems\.unified\.scales' stands in a system's file only"):
        load_settings(["unified"], overrides=["systems.unified.scales.small.options.every=4"])


def test_a_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        load_settings_file(binary)
    with pytest.raises(UserError, match="there is no file"):
        load_settings_file(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="is a folder"):
        load_settings_file(tmp_path)


def test_an_empty_section_and_an_empty_file_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("training:\n  # all commented out\n")
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    one = load_settings(["unified"], scale=str(path))
    two = load_settings(["unified"], scale=str(empty))
    assert settings_difference(one, two) == [f'scale: "{path}" -> "{empty}"']


def test_every_field_of_the_settings_has_its_docstring() -> None:
    for name in ("data", "model", "settings", "training"):
        module = __import__(f"mmbench.config.{name}", fromlist=["x"])
        source = inspect.getsource(module)
        for item in vars(module).values():
            if dataclasses.is_dataclass(item) and item.__module__ == module.__name__:
                for field in dataclasses.fields(item):
                    assert re.search(rf'^    {field.name}: .*\n    """', source, re.MULTILINE), f"{item}.{field.name}"
