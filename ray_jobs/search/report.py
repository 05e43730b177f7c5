"""The report of a search: every trial, why the pruned ones were, what mattered, quality against cost."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from ray_jobs.search.search import Search
from ray_jobs.search.trials import SearchResult, Trial, best_first, show
from tweetelm.evaluation.report.document import Cell, Document, Section, Table
from tweetelm.evaluation.report.plots import draw
from tweetelm.evaluation.report.write import document_files
from tweetelm.files import object_storage
from tweetelm.tasks import TASKS


def search_document(plan: Search, result: SearchResult, notices: list[str]) -> Document:
    """Everything there is to tell about a finished search."""
    metric = TASKS[plan.base.task].metric
    sections = [
        _choice(plan, result, metric),
        _trials(result, metric),
        _curves(result, metric),
        _sizes(result, metric),
        _importance(result, metric),
    ]
    return Document(title=f"Search {plan.name}", notices=tuple(notices), sections=tuple(sections))


def report_path(plan: Search) -> str:
    """Where a search's report is."""
    return f"{plan.folder}/report.html"


def write_report(plan: Search, result: SearchResult, notices: list[str]) -> str:
    """Write the report as HTML, Markdown and JSON beside the search; returns the path of the HTML."""
    for name, text in document_files(search_document(plan, result, notices)).items():
        object_storage.write(f"{plan.folder}/{name}", text.encode())
    return report_path(plan)


def _choice(plan: Search, result: SearchResult, metric: str) -> Section:
    best, count = result.best, len(result.trials)
    pruned = sum(trial.status == "pruned" for trial in result.trials)
    failed = sum(trial.status == "failed" for trial in result.trials)
    rule = {
        "quality": f"the highest validation {metric}; among equals the cheapest size",
        "cost": f"the cheapest size within {plan.tolerance:g} of the highest validation {metric}",
    }[plan.prefer]
    settings = tuple((key, show(value)) for key, value in best.sample.items())
    told = (
        f"{count} trials, proposed by {plan.propose}: {count - pruned - failed} went to their end, {pruned} "
        f"were pruned by successive halving, {failed} failed.",
        f"Chosen: trial {best.number}, by the rule: {rule}. Test data took no part in the choice.",
    )
    rows = ((f"validation {metric}", best.score), ("epochs", f"{best.epochs:g}"), *settings)
    return Section(
        title="What was chosen", text=told, tables=(Table(columns=("setting", "value"), rows=rows),)
    )


def _trials(result: SearchResult, metric: str) -> Section:
    keys = tuple(result.trials[0].sample)
    columns = ("", "trial", f"validation {metric}", "status", "epochs", "seconds", *keys, "pruned because")
    rows = tuple(_row(trial, keys, trial.run == result.winner) for trial in best_first(result.trials))
    return Section(title="Every trial", tables=(Table(columns=columns, rows=rows),))


def _row(trial: Trial, keys: tuple[str, ...], chosen: bool) -> tuple[Cell, ...]:
    sample = tuple(show(trial.sample[key]) for key in keys)
    mark = "chosen" if chosen else ""
    end = (trial.score, trial.status, f"{trial.epochs:g}", round(trial.seconds))
    return (mark, trial.number, *end, *sample, trial.why.replace(" ", "\u00a0"))


def _curves(result: SearchResult, metric: str) -> Section:
    def paint(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for trial in result.trials:
            if trial.curve:
                epochs, scores = zip(*trial.curve, strict=True)
                style = "--" if trial.status == "pruned" else "-"
                width = 2.5 if trial.run == result.winner else 1.2
                axes.plot(epochs, scores, style, marker="o", ms=3, lw=width)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {metric}")

    columns = ("trial", f"validation {metric}, one after the other")
    rows = tuple((t.number, _course(t)) for t in best_first(result.trials) if t.curve)
    figure = draw("curves", "A line for each trial. Dashed: pruned. Thick: chosen.", paint)
    return Section(title="Curves", tables=(Table(columns=columns, rows=rows),), figures=(figure,))


def _course(trial: Trial) -> str:
    return " → ".join(f"{score:.3f}" for _, score in trial.curve)


def _sizes(result: SearchResult, metric: str) -> Section:
    """The best of each size, and what each costs."""
    if not result.speeds:
        return Section(title="Quality against cost", text=("The search had one size only.",))
    best = {size: next(t for t in best_first(result.trials) if t.size == size) for size in result.speeds}
    rows = tuple((size, t.number, t.score, result.speeds[size]) for size, t in best.items())

    def paint(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for trial in result.trials:
            if trial.score is not None:
                axes.plot(result.speeds[trial.size], trial.score, "o", color="tab:gray", alpha=0.6)
        for size, trial in best.items():
            axes.plot(result.speeds[size], trial.score or 0.0, "o", color="tab:blue")
            axes.annotate(
                size,
                (result.speeds[size], trial.score or 0.0),
                ha="center",
                textcoords="offset points",
                xytext=(0, 7),
            )
        axes.set_xlabel("tweets a second")
        axes.set_ylabel(f"validation {metric}")
        axes.margins(x=0.25, y=0.15)

    caption = "Each trial at the measured speed of its size; blue: the best of a size."
    return Section(
        title="Quality against cost",
        text=("Tweets a second were measured one size after the other on the machine of the search.",),
        tables=(Table(columns=("size", "best trial", f"validation {metric}", "tweets a second"), rows=rows),),
        figures=(draw("quality-cost", caption, paint),),
    )


def _importance(result: SearchResult, metric: str) -> Section:
    title = "What mattered"
    found = importances(result)
    if not found:
        return Section(title=title, text=("Too few validated trials differ to tell.",))
    told = (
        f"Share of the variance of validation {metric} that each setting explains by itself (fANOVA over all "
        "validated trials, pruned ones at their best score). With few trials this is a hint, no more.",
    )
    table = Table(columns=("setting", "importance"), rows=tuple(found.items()))
    return Section(title=title, text=told, tables=(table,))


def importances(result: SearchResult) -> dict[str, float]:
    """By Optuna's fANOVA, most important first; empty where nothing can be said."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    scored = [trial for trial in result.trials if trial.score is not None]
    if len(scored) < 4 or len({trial.score for trial in scored}) < 2:
        return {}
    ranges: dict[str, BaseDistribution] = {}
    for key in scored[0].sample:
        values = [trial.sample[key] for trial in scored]
        if len(set(values)) > 1:
            numbers = all(isinstance(value, float) for value in values)
            log = numbers and min(values) > 0
            ranges[key] = (
                FloatDistribution(min(values), max(values), log=log)
                if numbers
                else CategoricalDistribution(sorted(set(values), key=str))
            )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for trial in scored:
        params = {key: trial.sample[key] for key in ranges}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=ranges, value=trial.score or 0.0)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
