"""What a stored study says of its networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from makers import make_record, make_score
from stored import store_study

from archsearch.api.study import Study, open_study
from archsearch.models.variants import VARIANTS
from archsearch.store.database import Database
from archsearch.store.trials import add_training


def _with_resnet20(folder: Path) -> Study:
    """A study of one trial, where resnet20 alone was trained in full."""
    url = f"sqlite:///{folder / 'studies.db'}"
    store_study(url, [make_record(0)])
    score = make_score(90.0, split="test", protocol="modern", epochs=30, confusion=np.eye(2, dtype=int).tolist())
    arch_id = VARIANTS["resnet20"].spec.normalised(32).arch_id
    database = Database(url)
    add_training(database, study_id=1, arch_id=arch_id, score=score, folder="resnet20")
    database.close()
    return open_study("small", storage=url)


def test_a_published_network_that_was_only_trained_in_full_has_its_name_on_every_page(tmp_path: Path) -> None:
    study = _with_resnet20(tmp_path)
    assert [each.label for each in study.retrainings] == ["resnet20"]
    assert study.analysis("final").missing == ("resnet20",)
    named = replace(study, info=replace(study.info, facts={**study.info.facts, "classes": ["cat", "dog"]}))
    assert named.analysis("confusion").label == "resnet20"


def test_a_network_without_a_name_at_the_scale_of_a_study_keeps_its_hash(tmp_path: Path) -> None:
    study = _with_resnet20(tmp_path)
    other = replace(study, info=replace(study.info, config={**study.info.config, "scale": {"stem.stride": 4}}))
    assert [each.label for each in other.retrainings] == [VARIANTS["resnet20"].spec.normalised(32).arch_id]
