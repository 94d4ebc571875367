"""Puts a report together: the answer, then the sections in the order in which one asks."""

from __future__ import annotations

from archsearch.plots.catalog import PLOTS
from archsearch.plots.front import FrontInfo
from archsearch.report.answer import PICKS_NOTE, answer_sentences, picks_of
from archsearch.report.data import ReportData
from archsearch.report.front_sections import confirmation_section, front_section, variants_section
from archsearch.report.methods import methods_section
from archsearch.report.networks import panel_data
from archsearch.report.sections import Report, Section
from archsearch.report.study_sections import (
    ablation_section,
    confusion_section,
    guidelines_section,
    latency_section,
    matters_section,
    progress_section,
    trained_section,
    trust_section,
)


def report_of(data: ReportData) -> Report:
    """The report of a study, whatever is known of it so far."""
    info: FrontInfo = PLOTS["front"].info(data.networks)
    picks = picks_of(data)
    device = data.plots.device_name or "this device"
    sections: list[Section] = [front_section(data, info), confirmation_section(data), variants_section(data, info)]
    ablation = ablation_section(data)
    if data.design is None:
        sections += [ablation, matters_section(data)]
    elif data.ablations:  # it is the study's own question
        sections.insert(0, ablation)
    sections += [progress_section(data), latency_section(data), guidelines_section(data)]
    if data.design is None:
        sections.append(trust_section(data))
    if data.trainings:
        sections.append(trained_section(data))
        if data.plots.results.get("confusion") is not None:
            sections.append(confusion_section(data))
    sections.append(methods_section(data))
    return Report(
        study=data.study,
        title=f"Which network: study {data.study}",
        question=f"Which of these choices pay on {device}, and which network do I take?",
        subtitle=info.subtitle[:1],
        answer=answer_sentences(data, picks),
        picks=picks,
        picks_note=PICKS_NOTE if picks else "",
        sections=tuple(sections),
        networks=panel_data(data),
        command=data.command,
    )
