"""The report of a search: the choice, every trial, learning curves, quality against cost, importances."""

from ray_jobs.search.report_figures import cost_figure, curves_figure, parallel_figure
from ray_jobs.search.search import Search
from ray_jobs.search.trial_results import SearchResult, Trial, best_first, show
from tweetelm.evaluation.report.document import Cell, Document, Section, Table
from tweetelm.evaluation.report.interval_plots import Row, bar_figure
from tweetelm.evaluation.report.write import document_files
from tweetelm.files import object_storage


def search_document(plan: Search, result: SearchResult, notices: list[str]) -> Document:
    """The report of a finished search; the choice comes first."""
    metric = plan.base.task.metric
    sections = [
        _choice(plan, result, metric),
        _trials(result, metric),
        _curves(result, metric),
        _sizes(result, metric),
        _importance(result, metric),
    ]
    return Document(title=f"Search {plan.name}", notices=tuple(notices), sections=tuple(sections))


def report_path(plan: Search) -> str:
    """Path of a search's report."""
    return f"{plan.folder}/report.html"


def write_report(plan: Search, result: SearchResult, notices: list[str]) -> str:
    """Write the report as HTML, Markdown and JSON into the search's folder; returns the path of the HTML."""
    for name, text in document_files(search_document(plan, result, notices)).items():
        object_storage.write(f"{plan.folder}/{name}", text.encode())
    return report_path(plan)


def _choice(plan: Search, result: SearchResult, metric: str) -> Section:
    best, count = result.best, len(result.trials)
    pruned = sum(trial.status == "pruned" for trial in result.trials)
    failed = sum(trial.status == "failed" for trial in result.trials)
    rule = {
        "quality": f"the highest validation {metric}; among equal scores the fastest size",
        "cost": f"the fastest size within {plan.tolerance:g} of the highest validation {metric}",
    }[plan.prefer]
    settings = tuple((key, show(value)) for key, value in best.sample.items())
    score = "–" if best.score is None else f"{best.score:.3f}"
    text = (
        f"Trial {best.number} was chosen: validation {metric} {score}, the best of its {best.epochs:g} "
        f"epochs.",
        f"Rule: {rule}. Test data were not used.",
        f"{count} trials, sampler: {plan.propose}. {count - pruned - failed} finished, {pruned} pruned by "
        f"successive halving (ASHA), {failed} failed.",
    )
    rows = ((f"validation {metric}", best.score), ("epochs", f"{best.epochs:g}"), *settings)
    table = Table(columns=("setting", "value"), rows=rows, caption="Settings of the chosen trial.")
    return Section(
        title="What was chosen", text=text, tables=(table,), figures=(parallel_figure(result, metric),)
    )


def _trials(result: SearchResult, metric: str) -> Section:
    keys = tuple(result.trials[0].sample)
    columns = ("", "trial", f"validation {metric}", "status", "epochs", "seconds", *keys, "pruned because")
    rows = tuple(_row(trial, keys, trial.run == result.winner) for trial in best_first(result.trials))
    table = Table(columns=columns, rows=rows, caption="All trials, best first.")
    return Section(title="Every trial", tables=(table,))


def _row(trial: Trial, keys: tuple[str, ...], chosen: bool) -> tuple[Cell, ...]:
    sample = tuple(show(trial.sample[key]) for key in keys)
    mark = "chosen" if chosen else ""
    end = (trial.score, trial.status, f"{trial.epochs:g}", round(trial.seconds))
    return (mark, trial.number, *end, *sample, trial.why.replace(" ", "\u00a0"))


def _curves(result: SearchResult, metric: str) -> Section:
    columns = ("trial", f"validation {metric} at each validation")
    rows = tuple((t.number, _scores(t)) for t in best_first(result.trials) if t.curve)
    table = Table(columns=columns, rows=rows, caption="Scores in order.")
    text = ("The score at each validation. A trial below the cutoff of its epoch is pruned.",)
    return Section(
        title="Learning curves", text=text, tables=(table,), figures=(curves_figure(result, metric),)
    )


def _scores(trial: Trial) -> str:
    return " → ".join(f"{score:.3f}" for _, score in trial.curve)


def _sizes(result: SearchResult, metric: str) -> Section:
    """The best of each size, and its throughput."""
    if not result.speeds:
        return Section(title="Quality against cost", text=("The search had one size only.",))
    best = {size: next(t for t in best_first(result.trials) if t.size == size) for size in result.speeds}
    rows = tuple((size, t.number, t.score, result.speeds[size]) for size, t in best.items())
    columns = ("size", "best trial", f"validation {metric}", "tweets per second")
    return Section(
        title="Quality against cost",
        text=(
            "Throughput of each size, measured one size after the other on the machine of the search.",
            "A trial on the frontier is the best at its speed or faster.",
        ),
        tables=(Table(columns=columns, rows=rows, caption="Best trial of each size."),),
        figures=(cost_figure(result, metric),),
    )


def _importance(result: SearchResult, metric: str) -> Section:
    title = "What mattered"
    found = importances(result)
    if not found:
        return Section(title=title, text=("Unknown: too few validated trials differ.",))
    text = (
        f"Share of the variance of validation {metric} that each setting explains by itself (fANOVA over all "
        "validated trials; a pruned trial counts with its best score). With few trials this is a hint.",
    )
    table = Table(columns=("setting", "importance"), rows=tuple(found.items()), caption="Importance.")
    bars = [Row(label=key, value=value) for key, value in found.items()]
    figure = bar_figure("importance", "Importance of each setting.", bars, axis="share of the variance")
    return Section(title=title, text=text, tables=(table,), figures=(figure,))


def importances(result: SearchResult) -> dict[str, float]:
    """Importance of each setting by Optuna's fANOVA, highest first; empty if too few trials differ."""
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
