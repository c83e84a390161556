"""From folders to evidence: reads runs, groups them by what varies, ranks them where that is fair."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdlab.reporting.analyse.answer import answer
from kdlab.reporting.analyse.formatting import listed
from kdlab.reporting.analyse.labels import label, names
from kdlab.reporting.analyse.ranking import chosen_role, data_names, ranked, why_unranked
from kdlab.reporting.analyse.remarks import remarks
from kdlab.reporting.analyse.savings import savings
from kdlab.reporting.analyse.settings import as_number, same_settings, seed, value, varying_keys
from kdlab.reporting.analyse.shipping import shipped_settings, shipping, with_budget
from kdlab.reporting.analyse.summary import corrected, summarised
from kdlab.reporting.collect.cells import Lost
from kdlab.reporting.collect.published import published_rows
from kdlab.reporting.collect.runs import RESULT, Found, find
from kdlab.reporting.collect.values import typed_values
from kdlab.reporting.evidence import Evidence, Failure, Reference, Run, Setting

MOST_NAMED = 3  # varied settings that a question can list and still be read


def collect(folders: Sequence[str | Path]) -> Evidence:
    """The evidence of every run and sweep in and below some folders.

    Raises:
        BadInput: a folder is not there, or none of them holds a run or a sweep.
    """
    found = find(folders)
    keys = varying_keys(found)
    named = names(keys)
    settings, dropped = _settings(found.runs, keys, named)
    orders = _orders(found, keys)
    settings = _in_order(settings, orders)
    unranked = why_unranked(settings, chosen_role(keys)) if settings else "No run finished"
    settings = settings if unranked else ranked(settings, chosen_role(keys))
    evidence = Evidence(
        title=_title(found, folders),
        question=_question(found, named),
        answer="",
        remarks=(),
        varied={key: tuple(order) for key, order in orders.items()},
        seeds=tuple(sorted({seed(run) for setting in settings for run in setting.runs})),
        settings=tuple(settings),
        best=None if unranked else settings[0],
        failures=tuple(_failure(lost, named) for lost in found.lost),
        savings=savings(found.runs),
        references=tuple(_references(found.runs)),
        sweep=_only_sweep(found),
    )
    unfinished = [remark for sweep in found.sweeps for remark in sweep.preliminary]
    evidence = replace(
        evidence,
        published=tuple(published_rows(evidence)),
        shipped=tuple(shipped_settings(settings)),
        exports=tuple(found.exports[found.runs[0].path]) if len(found.runs) == 1 else (),
        comparisons=tuple(found.comparisons.items()),
    )
    evidence = replace(evidence, shipping=tuple(shipping(evidence)))
    said, limits = with_budget(evidence, answer(evidence, unranked))
    every = (*unfinished, *limits, *remarks(evidence), *dropped, *found.remarks)
    return replace(evidence, answer=said, remarks=every)


def _settings(
    runs: Sequence[Run], keys: Sequence[str], named: Mapping[str, str]
) -> tuple[list[Setting], tuple[str, ...]]:
    settings, repeated = [], 0
    for combination, group in same_settings(runs, keys).items():
        by_seed = {seed(run): run for run in sorted(group, key=lambda run: (bool(run.export), _written(run)))}
        repeated += len(group) - len(by_seed)
        values = dict(zip(keys, combination, strict=True))
        name = label(values, named) or str(group[0].values.get("loss") or group[0].path.name)
        settings.append(summarised(name, values, list(by_seed.values())))
    if not repeated:
        return corrected(settings), ()
    count = "1 run was" if repeated == 1 else f"{repeated} runs were"
    remark = (
        f"{count} left out: a newer run, or one with an export, has the same setting and seed "
        "(they differ in hardware, in folders or in the version of the code)."
    )
    return corrected(settings), (remark,)


def _references(runs: Sequence[Run]) -> Iterator[Reference]:
    """Each predictor without a network once; of several data sets with the name of the data."""
    data_of = {
        (name, row[run.task.outcome]): data_names([run])[0]
        for run in runs
        for name, row in (run.result.get("references") or {}).items()
        if run.task.outcome in row
    }
    several = len(set(data_of.values())) > 1
    for (name, reached), data in data_of.items():
        yield Reference(f"{name} of {data}" if several else name, reached)


def _written(run: Run) -> float:
    return (run.path / RESULT).stat().st_mtime


def _orders(found: Found, keys: Sequence[str]) -> dict[str, list[Any]]:
    """The values of each key: numbers from small to large, options as the sweep lists them."""
    orders = {}
    for key in keys:
        values = dict.fromkeys(value(run, key) for run in found.runs)
        swept = (as_number(one) for sweep in found.sweeps for one in (sweep.about.get("varied") or {}).get(key, ()))
        order = list(dict.fromkeys([*(one for one in swept if one in values), *values]))
        orders[key] = sorted(order) if all(isinstance(one, int | float) for one in order) else order
    return orders


def _in_order(settings: Sequence[Setting], orders: Mapping[str, Sequence[Any]]) -> list[Setting]:
    positions = {key: {one: index for index, one in enumerate(order)} for key, order in orders.items()}
    return sorted(settings, key=lambda setting: [positions[key][one] for key, one in setting.values.items()])


def _failure(lost: Lost, named: Mapping[str, str]) -> Failure:
    typed = {key: as_number(text) for key, text in typed_values(lost.overrides).items()}
    own = label({key: typed[key] for key in named if key in typed}, named)
    number = typed.get("seed")
    which = f"seed {number:g}" if isinstance(number, float) and number.is_integer() else ""
    parts = [part for part in (own, which) if part]
    fallback = lost.path.name if lost.path else "a cell without overrides"
    return Failure(" · ".join(parts) or " ".join(lost.overrides) or fallback, lost.error, lost.path)


def _title(found: Found, folders: Sequence[str | Path]) -> str:
    if found.sweeps:
        return ", ".join(sweep.folder.name for sweep in found.sweeps)
    return ", ".join(Path(folder).resolve().name for folder in folders)


def _question(found: Found, named: Mapping[str, str]) -> str:
    questions = {str(sweep.about["question"]) for sweep in found.sweeps if sweep.about.get("question")}
    if len(questions) == 1:
        return questions.pop()
    if named and chosen_role(named) == "baseline":
        return "Does a better-tuned baseline close the gap?"
    if len(named) > MOST_NAMED:
        return "How do these settings compare?"
    if named:
        return f"Which {listed(list(named.values()))} {'is' if len(named) == 1 else 'are'} best?"
    return "Is the gain more than luck?" if len(found.runs) > 1 else "What did the student gain?"


def _only_sweep(found: Found) -> Mapping[str, Any] | None:
    """The sweep that all runs are cells of, where there is one."""
    if len(found.sweeps) != 1:
        return None
    (sweep,) = found.sweeps
    return sweep.about if all(run.path in sweep.runs for run in found.runs) else None
