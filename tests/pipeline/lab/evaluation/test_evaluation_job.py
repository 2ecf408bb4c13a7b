"""The parts of an evaluation around its photos: options, what is read first, log and report."""

import dataclasses
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cropping.weights import Weights, choose_weights
from pipeline.errors import SettingError, UsageError
from pipeline.lab.datasets import Dataset, Example
from pipeline.lab.evaluation.baselines import NAMES as BASELINES
from pipeline.lab.evaluation.job import (
    check_given_boxes,
    collect,
    describe,
    folds_entry,
    folds_of,
    log_failures,
    parse_baselines,
    prepare,
)
from pipeline.lab.evaluation.settings import EvaluationJob
from pipeline.lab.evaluation.setup import EvaluationSetup
from pipeline.lab.fold_weights import FoldWeights
from pipeline.report.progress import Log


def job(folder: Path, **options: Any) -> EvaluationJob:
    given = {"dataset": "photos", "data": folder, "output": folder / "report", **options}
    return EvaluationJob(**given)


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40), (200, 120, 40)).save(path)


def told(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.fixture
def gaic(tmp_path: Path) -> Path:
    """One photo to learn from, and three to judge, with a box of an object each."""
    for name, split in (("1", "train"), ("2", "test"), ("3", "test"), ("4", "test")):
        photo(tmp_path / f"GAIC/images/{split}/{name}.jpg")
        for folder, line in (("annotations", "0 0 40 60 3"), ("bbox", "5 6 30 40")):
            (tmp_path / "GAIC" / folder).mkdir(exist_ok=True)
            (tmp_path / "GAIC" / folder / f"{name}.txt").write_text(line)
    return tmp_path / "GAIC"


def test_what_a_run_does_if_nothing_is_asked(tmp_path: Path) -> None:
    plain = dataclasses.asdict(job(tmp_path))
    expected = {
        "split": "test", "limit": None, "weights": "default", "preset": "gaicv1",
        "detector": "embedded", "detectors": None, "networks": None, "features": None,
        "search": "coarse", "rank_by": "overlap", "backbone": "own", "baselines": "all",
        "gaic": None, "focalnet": None, "judge": None, "ratios": "1:1,4:3,16:9,9:16,3:4",
        "copies": False, "groups": None, "resamples": 1000, "seed": 0, "device": "auto",
        "ray": False, "max_error_rate": 0.05, "log_format": "text",
    }  # fmt: skip
    places = {"dataset": "photos", "data": tmp_path, "output": tmp_path / "report"}
    assert plain == expected | places
    assert [shape.name for shape in job(tmp_path, ratios="circle,16:9").shapes] == [
        "circle",
        "16:9",
    ]


@pytest.mark.parametrize(
    ("option", "allowed", "refused"),
    [
        ("limit", (1, None), (0, "1")), ("resamples", (1,), (0,)), ("seed", (0,), (-1,)),
        ("max_error_rate", (0, 1), (-0.01, 1.01)), ("ratios", ("free",), ("", "wide")),
        ("search", ("coarse", "exhaustive"), ("all",)), ("rank_by", ("overlap", "score"), ("x",)),
        ("backbone", ("auto", "shared", "own"), ("none",)),
        ("preset", ("gaicv1", "gaicv2"), ("gaicv3",)), ("log_format", ("text", "json"), ("xml",)),
    ],
)  # fmt: skip
def test_options_have_bounds(
    tmp_path: Path, option: str, allowed: tuple[Any, ...], refused: tuple[Any, ...]
) -> None:
    for value in allowed:
        assert getattr(job(tmp_path, **{option: value}), option) == value
    for value in refused:
        with pytest.raises(UsageError):
            job(tmp_path, **{option: value})


def test_weights_by_fold_have_to_fit_together(tmp_path: Path) -> None:
    folder = tmp_path / "folds"
    for detector in ("embedded", "boxes"):
        assert job(tmp_path, networks=folder, detector=detector).networks == folder
    assert job(tmp_path, detectors=folder, detector="embedded").detectors == folder
    with pytest.raises(SettingError, match=r"detectors.* --detector is boxes"):
        job(tmp_path, detectors=folder, detector="boxes")
    for by_fold in ("detectors", "networks"):
        with pytest.raises(SettingError, match="give --features"):
            job(tmp_path, backbone="shared", **{by_fold: folder})
        job(tmp_path, backbone="own", **{by_fold: folder})
        job(tmp_path, backbone="shared", features=folder, **{by_fold: folder})
    assert job(tmp_path, backbone="shared").backbone == "shared"


def test_a_network_is_described_by_its_source() -> None:
    assert describe(choose_weights("untrained", "gaicv2", 7)) == "untrained gaicv2, seed 7"
    digest = "0123456789abcdef" * 4
    assert describe(Weights("starter", digest)) == "starter 0123456789ab"
    assert describe(Weights("file", digest, uri="s3://a/b.pth")) == "s3://a/b.pth 0123456789ab"


def test_weights_by_fold_are_told_with_their_folders(tmp_path: Path) -> None:
    assert folds_of(job(tmp_path), "photos") is None
    assert folds_entry(None, "photos") == {}
    folds = FoldWeights(tmp_path / "d", tmp_path / "n", tmp_path / "f")
    text = "detectors of d, networks of n, branches of f, by the names of photos in osie"
    assert folds_entry(folds, "osie") == {"held out from": text}
    alone = folds_entry(FoldWeights(networks=tmp_path / "n"), "osie")
    assert alone == {"held out from": "networks of n, by the names of photos in osie"}
    for option in ("detectors", "networks", "features"):
        with pytest.raises(UsageError):  # the folder has no weights
            folds_of(job(tmp_path, **{option: tmp_path}), "photos")


def test_baselines_are_names_between_commas_or_all() -> None:
    assert parse_baselines(" centre,, largest ") == ["centre", "largest"]
    for text in ("all", "centre,all"):
        assert parse_baselines(text) == [*BASELINES]
    assert parse_baselines("largest,largest") == ["largest"]
    for text in ("", " , "):
        with pytest.raises(SettingError, match="names none: write some of centre, centre_90"):
            parse_baselines(text)


def test_a_wrong_name_beside_all_is_refused(gaic: Path) -> None:
    with pytest.raises(UsageError, match=r"no baseline centrr: .*; did you mean centre\?"):
        prepare(job(gaic, dataset="gaicv1", baselines="all,centrr"), Log(stream=StringIO()))


def test_the_prior_is_not_measured_on_the_photos_that_it_is_fitted_on(gaic: Path) -> None:
    asked = job(gaic, dataset="gaicv1", split="train", baselines="centre,anchor_prior")
    dataset, setup = prepare(asked, Log(stream=StringIO()))
    assert setup.prior is None
    assert dataset.notes == [
        "left out: anchor_prior is fitted on the split train: these photos are judged, whose "
        "scores it would know"
    ]


def test_boxes_of_a_set_may_be_taken_where_a_photo_has_some(tmp_path: Path) -> None:
    bare = Example("a", tmp_path / "a.jpg")
    boxed = dataclasses.replace(bare, objects_px=np.zeros((0, 4), np.float32))
    for option in ("detector", "judge"):
        asked = job(tmp_path, **{option: "boxes"})
        check_given_boxes(asked, [bare, boxed])
        with pytest.raises(SettingError, match=f"{option}.*boxes takes those that come with a"):
            check_given_boxes(asked, [bare])
    check_given_boxes(job(tmp_path), [bare])


def test_every_option_reaches_the_evaluation(gaic: Path) -> None:
    (gaic / "groups.csv").write_text("photo,x0,y0,x1,y1,group\n2.jpg,0,0,9,9,x\nno.jpg,0,0,9,9,x\n")
    log = StringIO()
    asked = job(
        gaic, dataset="gaicv2", weights="untrained", preset="gaicv2", seed=3, detector="boxes",
        baselines="centre,anchor_prior", ratios="1:1,circle", judge="embedded", limit=2,
        gaic="gaic.pth", focalnet=Path("f.onnx"), search="exhaustive", rank_by="score",
        backbone="own", copies=True, groups=gaic / "groups.csv",
    )  # fmt: skip
    dataset, setup = prepare(asked, Log("json", log))
    assert (dataset.name, dataset.split, [one.id for one in dataset.examples]) == (
        "gaicv2", "test", ["2", "3"],
    )  # fmt: skip
    assert setup.prior is not None
    assert setup.prior.overall == 3
    assert [*setup.followed] == ["2.jpg", "no.jpg"]
    expected = EvaluationSetup(
        choose_weights("untrained", "gaicv2", 3), "boxes", ["centre", "anchor_prior"],
        ["1:1", "circle"], prior=setup.prior, followed=setup.followed, gaic="gaic.pth",
        focalnet="f.onnx", judge="embedded", search="exhaustive", rank_by="score", backbone="own",
        folds=None, set_name="gaicv2", copies=True,
    )  # fmt: skip
    assert setup == expected
    note = "1 photo named in groups.csv not found in the data set, such as no.jpg"
    assert dataset.notes == [note]
    assert [(line["event"], line["message"]) for line in told(log)] == [("left_out", note)]


def test_nothing_is_added_that_was_not_asked_for(gaic: Path) -> None:
    dataset, setup = prepare(
        job(gaic, dataset="gaicv1", baselines="centre"), Log(stream=StringIO())
    )
    assert [one.id for one in dataset.examples] == ["2", "3", "4"]
    assert (setup.prior, setup.followed, setup.focalnet, dataset.notes) == (None, {}, None, [])
    assert not setup.copies


@pytest.mark.parametrize("dataset", ["photos", "labels", "crops"])
def test_a_set_of_one_s_own_is_called_as_its_folder(tmp_path: Path, dataset: str) -> None:
    """By this name and a photo's, weights by fold tell what they have not seen."""
    photo(tmp_path / "Mine/a.jpg")
    (tmp_path / "Mine.json").write_text('{"a.jpg": {"crops": [[0, 0, 30, 40]]}}')
    (tmp_path / "Mine/crops.csv").write_text("photo,x0,y0,x1,y1\na.jpg,0,0,30,40\n")
    log = StringIO()
    asked = job(tmp_path / "Mine", dataset=dataset, baselines="centre,anchor_prior")
    read, setup = prepare(asked, Log(stream=log))
    assert setup.set_name == "mine"
    (note,) = read.notes  # there is no other split to fit the prior on
    assert note.startswith("left out: anchor_prior is fitted on the split train: ")
    assert note.endswith(f"split 'train' does not exist: {dataset} is one split, test")
    assert log.getvalue() == f"{note}\n"


def test_photos_are_counted_as_they_come_and_ordered_by_name(tmp_path: Path) -> None:
    photo(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG no photo")
    setup = EvaluationSetup(choose_weights("untrained"), "boxes", [], ["1:1"])
    dataset = Dataset("photos", "test", [Example(n, tmp_path / f"{n}.png") for n in "ba"])
    log = StringIO()
    rows = collect(dataset, setup, job(tmp_path, device="cpu"), Log("json", log))
    assert [(row["id"], row["status"] == "ok") for row in rows] == [("a", False), ("b", True)]
    progress, judged = told(log)
    assert (progress["event"], progress["images"], progress["of"], progress["failed"]) == (
        "progress", 2, 2, 1,
    )  # fmt: skip
    assert (judged["event"], judged["photos"]) == ("judged", 2)
    assert 0 < judged["seconds"] < 60
    assert judged["message"] == f"2 photos in {judged['seconds']:.1f} s"


def test_failures_are_told_commonest_first_with_their_first_photo() -> None:
    rows = [
        {"id": name, "status": status, "message": f"about {name}"}
        for name, status in (("a", "corrupt"), ("b", "ok"), ("c", "not_found"), ("d", "not_found"))
    ]
    log = StringIO()
    log_failures(rows, Log("json", log))
    lines = [
        {key: line[key] for key in ("event", "message", "status", "photos")} for line in told(log)
    ]
    assert lines == [
        {"event": "not_judged", "message": "not judged: 2 photos, not found; c: about c",
         "status": "not_found", "photos": 2},
        {"event": "not_judged", "message": "not judged: 1 photo, corrupt; a: about a",
         "status": "corrupt", "photos": 1},
    ]  # fmt: skip


def test_an_evaluation_has_at_most_100_shapes(tmp_path: Path) -> None:
    many = [f"{side}:1000" for side in range(1000, 1101)]
    assert len(job(tmp_path, ratios=",".join(many[:100])).shapes) == 100
    with pytest.raises(SettingError, match="101 shapes are too many at once"):
        job(tmp_path, ratios=",".join(many))
