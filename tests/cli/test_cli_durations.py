from __future__ import annotations

import pytest

from archsearch.cli.options import parse_duration
from archsearch.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("300s", 300), ("1h30m", 5400), ("1h0m5s", 3605), ("1.5h", 5400), (" 2H ", 7200)],
)
def test_a_time_is_read_as_it_is_typed(text: str, seconds: float) -> None:
    assert parse_duration(text, option="--time-budget") == seconds


@pytest.mark.parametrize("text", ["90", "", "h", "0s", "0h0m", "-5m", "30m1h", "2 h", "2d", "1e3s", "nan", "٢h"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_duration(text, option="--time-budget")
    assert caught.value.message.startswith(f"--time-budget {text}:")
    assert "1h30m" in str(caught.value.hint)
