"""A run whose workers reach Optuna's tables through `archsearch serve-storage`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from archsearch.api.study import open_study


def test_a_run_through_the_proxy_ends_as_one_without(
    new_workplace: Callable[..., Any], watched: Callable[..., Any], postgres: Any, free_port: int
) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed: pip install 'archsearch[grpc]'")
    import optuna

    url, workplace = postgres.new_database(), new_workplace(trials=2)
    proxy = workplace.start("serve-storage", "--storage", url, "--port", str(free_port))
    with watched(proxy):
        through = ("--storage", url, "--optuna-proxy", f"127.0.0.1:{free_port}")
        run = workplace.start("run", "--study", "./tiny.yaml", "--device", "cpu", *through)
        with watched(run):
            _, said = run.communicate(timeout=600)
        assert proxy.poll() is None
        proxy.terminate()
        _, err = proxy.communicate(timeout=60)
    assert run.returncode == 0, said
    assert (proxy.returncode, "Traceback" in err) == (0, False)
    study = open_study("tiny", storage=url)
    assert dict(study.counts) == {"complete": 2}
    known = optuna.load_study(study_name="tiny", storage=url.replace("postgresql://", "postgresql+psycopg://"))
    assert [trial.state.name for trial in known.trials] == ["COMPLETE", "COMPLETE"]
    for record in study.records:
        assert known.trials[record.trial].values == [record.error_percent, record.latency.corrected_ms]
    assert list((workplace.folder / "runs" / "tiny" / "workers").glob("*/worker-0.log"))  # below the host's name
