"""What a person is told about the files that they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsst.ctrl.rapid.model import (
    InputError,
    Mode,
    PatternSpec,
    PipelineChoice,
    RapidFile,
    SiteFile,
    load_rapid_file,
    load_site_file,
    load_yaml,
    parse,
    watch_source,
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("worker", "workers"), ("quantum_timeouts", "quantum_timeout"), ("repositry", "repository")],
)
def test_a_typo_is_told_with_its_file_and_the_nearest_key(tmp_path: Path, typo: str, meant: str) -> None:
    path = write(tmp_path / "site.yaml", f"{typo}: 3\n")
    with pytest.raises(InputError) as caught:
        load_site_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert f"unknown key {typo!r}; did you mean {meant!r}?" in message


def test_a_nested_typo_is_told_with_its_place_and_the_keys_of_that_place() -> None:
    with pytest.raises(InputError, match=r"unknown key 'pipelines\.1\.were'; did you mean 'where'\?"):
        parse(RapidFile, {"pipelines": [{"pipeline": "a.yaml"}, {"pipeline": "b.yaml", "were": "x"}]}, "here")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"policy": {"patern": "all"}}, "'policy.patern'; did you mean 'pattern'?"),
        ({"policy": {"pattern": {"includ": "all"}}}, "'policy.pattern.includ'; did you mean 'include'?"),
        ({"patterns": {"step1a": {"vari": "fixed"}}}, "'patterns.step1a.vari'; did you mean 'vary'?"),
        (
            {"pipelines": [{"pipeline": "a.yaml", "pattern": {"exlude": "R22"}}]},
            "'pipelines.0.pattern.exlude'; did you mean 'exclude'?",
        ),
    ],
)
def test_a_typo_in_a_pattern_is_told_with_its_place(written: object, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(RapidFile, written, "here")
    assert f"unknown key {told}" in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse(SiteFile, {"workers": 0, "attempts": "many", "polling": "perhaps"}, "site.yaml")
    for key in ("workers:", "attempts:", "polling:"):
        assert key in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"here: pipelines\.0\.pipeline: .*required"):
        parse(RapidFile, {"pipelines": [{"where": "x"}]}, "here")


def test_something_else_than_a_mapping_is_refused() -> None:
    with pytest.raises(InputError, match="here: the whole: "):
        parse(SiteFile, ["workers"], "here")


def test_models_cannot_be_changed() -> None:
    site = parse(SiteFile, {"workers": 2}, "here")
    with pytest.raises(ValueError, match="frozen"):
        site.workers = 3  # type: ignore[misc]  # that is the test


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("- a\n- b\n", "must be a mapping of keys to values, not list"),
        ("just words\n", "must be a mapping of keys to values, not str"),
    ],
)
def test_a_file_that_is_no_mapping_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path / "x.yaml", text)
    with pytest.raises(InputError, match=told) as caught:
        load_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not valid YAML"):
        load_yaml(path)


def test_an_empty_file_means_no_keys(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path / "x.yaml", "# nothing\n")) == {}


def test_a_site_file_takes_what_it_does_not_say_from_the_one_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path / "top.yaml", "workers: 1\nattempts: 5\nrepository: /repo\nwatch: [/a, /b]\n")
    write(tmp_path / "middle" / "site.yaml", "extends: ../top.yaml\nworkers: 2\nquantum_timeout: 5\n")
    path = write(tmp_path / "site.yaml", "extends: middle/site.yaml\nworkers: 3\nwatch: [/c]\n")
    site = load_site_file(path)
    assert site.workers == 3
    assert site.quantum_timeout == 5
    assert site.attempts == 5
    assert site.repository == "/repo"
    assert site.watch == (Path("/c"),), "a list replaces the extended file's list"
    assert site.extends is None


def test_extending_does_not_depend_on_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "site" / "base.yaml", "workers: 7\n")
    write(tmp_path / "site" / "summit.yaml", "extends: base.yaml\n")
    monkeypatch.chdir(tmp_path)
    assert load_site_file(Path("site/summit.yaml")).workers == 7


def test_a_key_that_is_null_overrides_too(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "workers: 7\n")
    assert load_site_file(write(tmp_path / "site.yaml", "extends: base.yaml\nworkers:\n")).workers is None


def test_a_policy_takes_its_keys_from_the_extended_file_one_by_one(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "policy: {mode: preemptive, pattern: [E2V, R22]}\n")
    site = load_site_file(write(tmp_path / "site.yaml", "extends: base.yaml\npolicy: {pattern: ITL}\n"))
    assert site.policy is not None
    assert site.policy.model_fields_set == {"mode", "pattern"}
    assert site.policy.mode is Mode.PREEMPTIVE
    assert site.policy.pattern == PatternSpec(include=("ITL",))
    nothing = load_site_file(write(tmp_path / "null.yaml", "extends: base.yaml\npolicy:\n"))
    assert nothing.policy is None


def test_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "extends: ./a.yaml\n")
    with pytest.raises(InputError, match=r"'extends' leads in a circle through .*a\.yaml"):
        load_site_file(tmp_path / "a.yaml")


def test_an_extended_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "extends: nowhere.yaml\n")
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read"):
        load_site_file(path)


def test_the_extended_file_is_named_when_the_fault_is_in_it(tmp_path: Path) -> None:
    base = write(tmp_path / "base.yaml", "workrs: 1\n")
    path = write(tmp_path / "site.yaml", "extends: base.yaml\nworkers: 2\n")
    with pytest.raises(InputError) as caught:
        load_site_file(path)
    assert str(base) in str(caught.value)


def test_a_folder_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="named twice in 'watch'"):
        load_site_file(write(tmp_path / "a.yaml", "watch: [/data, /data]\n"))


def test_the_word_butler_is_the_repository_and_not_a_folder(tmp_path: Path) -> None:
    site = load_site_file(write(tmp_path / "a.yaml", "watch: [butler, ./butler, /data]\n"))
    assert site.watch == ("butler", Path("butler"), Path("/data"))
    assert watch_source("butler") == "butler"
    assert watch_source("./butler") == Path("butler")


def test_an_unknown_way_to_transfer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"transfer: .*'direct'"):
        load_site_file(write(tmp_path / "a.yaml", "transfer: teleport\n"))


def test_a_pipeline_without_a_companion_file_takes_every_exposure(tmp_path: Path) -> None:
    rapid = load_rapid_file(write(tmp_path / "summit.yaml", "description: x\n"))
    assert rapid == RapidFile(pipelines=(PipelineChoice(pipeline="summit.yaml", where=""),))


def test_facts_of_a_pipeline_are_read_beside_it(tmp_path: Path) -> None:
    pipeline = write(tmp_path / "summit.yaml", "description: x\n")
    write(tmp_path / "bias.yaml", "description: x\n")
    write(
        tmp_path / "summit.rapid.yaml",
        "pipelines:\n"
        "  - {pipeline: bias.yaml, where: \"exposure.observation_type = 'bias'\", pattern: minimal}\n"
        "  - {pipeline: summit.yaml}\n"
        "publish: [mosaic]\n"
        "policy: {mode: waiting}\n"
        "patterns: {step2: [R22, 0]}\n"
        "gather_deadline: 7.5\n",
    )
    rapid = load_rapid_file(pipeline)
    assert [choice.pipeline for choice in rapid.pipelines] == ["bias.yaml", "summit.yaml"]
    assert rapid.pipelines[0].where == "exposure.observation_type = 'bias'"
    assert rapid.publish == ("mosaic",)
    assert rapid.gather_deadline == 7.5
    assert [choice.pattern for choice in rapid.pipelines] == [PatternSpec(include=("minimal",)), None]
    assert rapid.policy.mode is Mode.WAITING
    assert rapid.patterns == {"step2": PatternSpec(include=("R22", "0"))}


def test_facts_without_pipelines_are_of_the_pipeline_itself(tmp_path: Path) -> None:
    pipeline = write(tmp_path / "summit.yaml", "description: x\n")
    write(tmp_path / "summit.rapid.yaml", "publish: [mosaic]\n")
    rapid = load_rapid_file(pipeline)
    assert rapid.pipelines == (PipelineChoice(pipeline="summit.yaml"),)
    assert rapid.publish == ("mosaic",)


def test_a_companion_that_is_not_there_is_named(tmp_path: Path) -> None:
    pipeline = write(tmp_path / "summit.yaml", "description: x\n")
    write(
        tmp_path / "summit.rapid.yaml", "pipelines: [{pipeline: summit.yaml}, {pipeline: summitBais.yaml}]\n"
    )
    with pytest.raises(InputError, match=r"summit\.rapid\.yaml: there is no pipeline 'summitBais\.yaml'"):
        load_rapid_file(pipeline)


def test_a_mistyped_pipeline_is_not_blamed_on_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no") as caught:
        load_rapid_file(tmp_path / "sumit.yaml")
    assert "sumit.yaml" in str(caught.value)
    assert "rapid.yaml" not in str(caught.value)


@pytest.mark.parametrize("deadline", [0, -1])
def test_a_gather_deadline_is_positive(tmp_path: Path, deadline: int) -> None:
    pipeline = write(tmp_path / "a.yaml", "")
    write(tmp_path / "a.rapid.yaml", f"gather_deadline: {deadline}\n")
    with pytest.raises(InputError, match="gather_deadline"):
        load_rapid_file(pipeline)
