"""Data IDs and datasets from memory, and as messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType

from lsst.ctrl.rapid.plan import (
    DatasetMessage,
    RecordStore,
    record_to_json,
    records_from_json,
    records_from_message,
    records_to_message,
    refs_by_type,
)

CAMERA = "ToyCam"
VALUES: dict[str, str | int] = {"instrument": CAMERA, "exposure": 2, "detector": 3, "physical_filter": "r_57"}


@pytest.fixture(scope="module")
def butler(make_repository: Callable[..., Any]) -> Butler:
    found: Butler = make_repository().butler
    return found


@pytest.fixture
def records(butler: Butler) -> RecordStore:
    store = RecordStore.from_butler(butler, [CAMERA])
    for element in ("day_obs", "group", "exposure"):
        store.add(butler.query_dimension_records(element, instrument=CAMERA, explain=False))
    return store


@pytest.mark.parametrize(
    "names",
    [
        ["instrument"],
        ["detector"],
        ["physical_filter"],
        ["exposure"],
        ["exposure", "detector"],
        ["detector", "physical_filter"],
        ["day_obs"],
        ["group"],
        ["exposure", "detector", "band"],
    ],
)
def test_an_expanded_data_id_is_the_registrys(butler: Butler, records: RecordStore, names: list[str]) -> None:
    dimensions = butler.dimensions.conform(names)
    known = butler.registry.expandDataId(instrument=CAMERA, exposure=2, detector=3)
    values = {name: known[name] for name in known.dimensions.names} | {
        name: VALUES[name] for name in dimensions.required if name in VALUES
    }
    required = {name: values[name] for name in dimensions.required}
    ours = records.expand(dimensions, **required)
    theirs = butler.registry.expandDataId(required, dimensions=dimensions)
    assert ours == theirs
    assert dict(ours.mapping) == dict(theirs.mapping)
    assert ours.hasFull()
    assert ours.hasRecords()
    for element in dimensions.elements:
        assert ours.records[element] == theirs.records[element], element
    assert ours.timespan == theirs.timespan


def test_values_that_a_data_id_has_not_are_ignored(butler: Butler, records: RecordStore) -> None:
    dimensions = butler.dimensions.conform(["detector"])
    assert records.expand(dimensions, instrument=CAMERA, detector=1, exposure=2) == records.expand(
        dimensions, instrument=CAMERA, detector=1
    )


def test_implied_values_are_those_of_the_record(butler: Butler, records: RecordStore) -> None:
    dimensions = butler.dimensions.conform(["exposure"])
    data_id = records.expand(dimensions, instrument=CAMERA, exposure=2, physical_filter="r_57", band="r")
    assert (data_id["physical_filter"], data_id["band"]) == ("g_6", "g")


def test_a_record_that_is_not_known_is_named(butler: Butler, records: RecordStore) -> None:
    dimensions = butler.dimensions.conform(["exposure", "detector"])
    with pytest.raises(LookupError, match="no record of detector for instrument='ToyCam', detector=77"):
        records.expand(dimensions, instrument=CAMERA, exposure=1, detector=77)


def test_another_record_of_the_same_data_id_replaces_it(butler: Butler, records: RecordStore) -> None:
    old = records.get("exposure", CAMERA, 1)
    assert old is not None
    new = butler.dimensions["exposure"].RecordClass(**{**old.toDict(), "physical_filter": "g_6"})
    records.add([new])
    data_id = records.expand(butler.dimensions.conform(["exposure"]), instrument=CAMERA, exposure=1)
    assert data_id["band"] == "g"


def test_discarded_records_are_not_known(butler: Butler, records: RecordStore) -> None:
    exposures = list(butler.query_dimension_records("exposure", instrument=CAMERA, explain=False))
    records.discard(exposures)
    records.discard(exposures)
    assert records.get("exposure", CAMERA, 1) is None
    assert records.get("detector", CAMERA, 1) is not None


def test_what_does_not_change_is_loaded_for_the_instruments_named(butler: Butler) -> None:
    store = RecordStore.from_butler(butler, [CAMERA])
    names = sorted(record.definition.name for record in store.static())
    assert names == ["detector"] * 4 + ["instrument"] + ["physical_filter"] * 3
    assert store.get("exposure", CAMERA, 1) is None
    assert list(RecordStore.from_butler(butler, []).static()) == []


def test_records_survive_a_message(butler: Butler, records: RecordStore) -> None:
    sent = [*records.static(), records.get("exposure", CAMERA, 2), records.get("group", CAMERA, "g2")]
    texts = [record_to_json(record) for record in sent if record is not None]
    assert records_from_json(texts, butler.dimensions) == sent


def test_a_dataset_survives_a_message(butler: Butler, records: RecordStore) -> None:
    raw = butler.get_dataset_type("raw")
    data_id = butler.registry.expandDataId(instrument=CAMERA, exposure=2, detector=3)
    ref = DatasetRef(raw, data_id, run="raw/all")
    sent = DatasetMessage.of(ref).model_dump_json()
    back = DatasetMessage.model_validate_json(sent).to_ref(raw, records)
    assert back == ref
    assert back.id == ref.id
    assert back.run == ref.run
    assert dict(back.dataId.mapping) == dict(data_id.mapping)
    assert back.dataId.hasRecords()
    assert json.loads(sent)["values"] == [CAMERA, 3, 2]


def test_a_dataset_without_dimensions_survives_a_message(butler: Butler, records: RecordStore) -> None:
    packages = DatasetType("packages", [], "Packages", universe=butler.dimensions)
    ref = DatasetRef(packages, DataCoordinate.make_empty(butler.dimensions), run="r")
    assert (
        DatasetMessage.model_validate_json(DatasetMessage.of(ref).model_dump_json()).to_ref(packages, records)
        == ref
    )


def test_a_component_and_a_converted_dataset_are_sent_as_the_repositorys(
    butler: Butler, records: RecordStore
) -> None:
    sources = DatasetType("sources", ["instrument", "detector"], "ArrowAstropy", universe=butler.dimensions)
    data_id = butler.registry.expandDataId(instrument=CAMERA, detector=3)
    ref = DatasetRef(sources, data_id, run="r")
    for changed in (ref.makeComponentRef("columns"), ref.overrideStorageClass("ArrowTable")):
        message = DatasetMessage.of(changed)
        assert message.dataset_type == "sources"
        back = message.to_ref(sources, records)
        assert back == ref
        assert back.datasetType == sources


def test_datasets_are_sorted_by_their_type(butler: Butler, records: RecordStore) -> None:
    types = {name: butler.get_dataset_type(name) for name in ("raw", "bias")}
    messages = [
        DatasetMessage(dataset_type="raw", id=uuid4(), run="r", values=(CAMERA, 1, 2)),
        DatasetMessage(dataset_type="bias", id=uuid4(), run="r", values=(CAMERA, 1)),
        DatasetMessage(dataset_type="raw", id=uuid4(), run="r", values=(CAMERA, 3, 2)),
    ]
    found = refs_by_type(messages, types, records)
    assert {name: [ref.id for ref in refs] for name, refs in found.items()} == {
        "raw": [messages[0].id, messages[2].id],
        "bias": [messages[1].id],
    }


def test_a_dataset_of_an_exposure_that_is_not_known_is_told(butler: Butler, records: RecordStore) -> None:
    message = DatasetMessage(dataset_type="raw", id=uuid4(), run="r", values=(CAMERA, 1, 99))
    with pytest.raises(LookupError, match="exposure=99"):
        message.to_ref(butler.get_dataset_type("raw"), records)


def test_datastore_records_survive_a_message(repository: Any) -> None:
    butler = repository.butler
    ref = butler.put(np.ones(3), "bias", instrument=CAMERA, detector=0, run="made")
    exported = butler._datastore.export_records([ref])
    message = json.loads(json.dumps(records_to_message(exported)))
    back = records_from_message(message)
    assert back.keys() == exported.keys()
    for name, data in exported.items():
        assert back[name].records == data.records
