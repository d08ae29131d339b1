"""What a person is told about the files that they write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lsst.ctrl.rapid.model import (
    InputError,
    Mode,
    PatternSpec,
    PipelineChoice,
    RapidFile,
    SiteFile,
    check_output,
    load_rapid_file,
    load_site_file,
    load_yaml,
    parse,
    read_json,
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
    for key in ("workers.count:", "attempts:", "polling:"):
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
    assert site.workers.count == 3
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
    assert load_site_file(Path("site/summit.yaml")).workers.count == 7


def test_a_key_that_is_null_overrides_too(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "workers: 7\n")
    assert (
        load_site_file(write(tmp_path / "site.yaml", "extends: base.yaml\nworkers:\n")).workers.count is None
    )


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("watch: " + "[" * 1000 + "]" * 1000, "line 1: it is nested more than 20 deep"),
        ("detectors: [" + "1," * 6000 + "]", "it has more than 5000 values"),
        ("# " + "x" * 300_000, "has more than 256 kB"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "line 2: an alias (*) is not taken here"),
        ("workers: 1\nworkers: 2\n", "line 2: the key 'workers' is there twice"),
        ("output: !!python/object/apply:os.system [ls]\n", "line 1: the tag 'tag:yaml.org"),
        ("attempts: .nan\n", "line 1: .nan is not a number"),
        ("attempts: !!bool x\n", "line 1: 'x' is not what its tag"),
        ("? [a]\n: b\n", "line 1: a key must be a word"),
        ("watch: /raws\n", "watch: must be a list, like [a, b]"),
        ("control: [1]\n", "control: must be a mapping of keys to values"),
        ("repository: 5\n", "repository: must be text; in YAML put quotes around it"),
        ("policy: {pattern: {include: 5.5}}\n", "policy.pattern.include: must be a list"),
        ("work_dir: ''\n", "work_dir: is not the name of a file or folder: ''"),
        ("work_dir: \"a\\0b\"\n", r"work_dir: is not the name of a file or folder: 'a\x00b'"),
        ("output: ../elsewhere\n", "output: '../elsewhere' cannot be the name of an output"),
        ("gather_timeout: 1e999\n", "gather_timeout: Input should be a finite number"),
        ("detectors: [-1]\n", "detectors.0: Input should be greater than or equal to 0"),
        ("policy: {guaranteed: {where: " + "x" * 2001 + "}}\n", "guaranteed.where: String should have"),
        ("policy: {pattern: [" + "R22," * 401 + "]}\n", "policy.pattern: has more than 400 names"),
    ],
)  # fmt: skip
def test_what_goes_beyond_plain_small_data_is_refused_in_one_line(
    tmp_path: Path, text: str, told: str
) -> None:
    path = write(tmp_path / "site.yaml", text)
    with pytest.raises(InputError) as caught:
        load_site_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert message.isprintable()
    assert len(message) <= 2001


def test_a_message_has_an_end_however_many_faults_there_are() -> None:
    with pytest.raises(InputError) as caught:
        parse(SiteFile, {f"key{number}\n\x1b[2J": 1 for number in range(1000)}, "here")
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith("and 992 more")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "site.yaml")
    with pytest.raises(InputError, match=r"site\.yaml: cannot be read: it is not a file"):
        load_site_file(tmp_path / "site.yaml")
    with pytest.raises(InputError, match="cannot be read: it is not a file"):
        load_site_file(Path("/dev/zero"))
    with pytest.raises(InputError, match="not the name of a file"):
        load_site_file(Path("a\0b"))


def test_files_that_extend_one_another_have_an_end(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"{number}.yaml", f"extends: {number + 1}.yaml\n")
    with pytest.raises(InputError, match="more than 10 files extend one another"):
        load_site_file(tmp_path / "0.yaml")


def test_json_is_read_as_strictly(tmp_path: Path) -> None:
    assert read_json(b'{"a": [1, 2.5, "x", null]}', "it") == {"a": [1, 2.5, "x", None]}
    for text, told in (
        (b'{"a": 1, "a": 2}', "it is not JSON: 'a' is there twice"),
        (b'{"a": NaN}', "it is not JSON: "),
        (b'"\\ud800"', "it is not JSON: "),
        (b"[" * 100_000, "it is not JSON: "),
        (b"\xff", "it is not JSON: "),
        (b" " * 300_000, "it has more than 256 kB"),
    ):
        with pytest.raises(InputError) as caught:
            read_json(text, "it")
        assert str(caught.value).startswith(told)


@pytest.mark.parametrize("name", ["a b.yaml", "-x.yaml", "ä.yaml", "a'b.yaml"])
def test_a_pipeline_is_named_so_that_its_runs_can_be(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "")
    with pytest.raises(InputError, match="a pipeline's file name becomes part of its RUNs'"):
        load_rapid_file(path)


def test_an_output_is_named_as_a_collection_is() -> None:
    for name in ("rapid", "u/me/try-1.2", "LSSTCam/runs/nightly@summit", "_x"):
        assert check_output(name) == name
    wrong = "", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".a", "a b", "a*", "a,b", "a\n", "ü", "a?b"
    for name in (*wrong, "x" * 65, "a#b", "a%2e", "-o"):
        with pytest.raises(InputError):
            check_output(name)
