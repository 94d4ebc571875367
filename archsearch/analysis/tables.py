"""Columns that tables of many analyses have."""

from __future__ import annotations

from dataclasses import replace

from archsearch.table import Column

TRIAL = Column(title="Trial", decimals=0, trial=True)
WIDE_TRIAL = replace(TRIAL, wide=True)
NETWORK = Column(title="Network", key="label", whole=True)
TOP1 = Column(title="Top-1", key="top1_percent", unit="%", decimals=2)
LATENCY = Column(title="Latency", key="latency_ms", unit="ms", decimals=3)
ARCH_ID = Column(title="arch_id", whole=True, wide=True)
