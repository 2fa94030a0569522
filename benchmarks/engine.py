"""CPU seconds and memory of the mixed-model engine, beside statsmodels, mixedlm and R, on judge-shaped data.

    python benchmarks/engine.py                  # 5k, 50k, 500k rows; lme4 if R has it; statsmodels at 5k
    python benchmarks/engine.py --mixedlm PYTHON # and mixedlm, with an interpreter that has it and pandas
    python benchmarks/engine.py --rows 5e6       # other sizes
    python benchmarks/engine.py --no-references  # our engine only

Every figure comes from a process of its own, one thread, from raw columns (codes and floats) to fixed
effects, standard errors and variance components. CPU seconds (user + system) of the fit, the fastest of a
few repeats; memory is the process's peak, data included. Data: items x 2 answers (2 of 20 systems) x 8 judges
x 2 positions, half of the items also with 2 human grades per answer (30 annotators), a tenth of the rows
missing. Models:

    A  34 fixed effects + (1|item) + (1|system)          B  A + (0+human|annotator)
    C  B + (1|judge:item)          D  1+pos+loglen+own + (1+pos+loglen|judge) + (1|item) + (1|system)
    L  A for a grade of two categories (logit, Laplace)          O  A for five ordered categories (Laplace)
    P  C for five ordered categories

L, O and P give standard errors from the Hessian; their references are lme4's glmer and ordinal's clmm.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402  (the thread settings must come first)

JUDGES, SYSTEMS, ANNOTATORS = 8, 20, 30
ORDINAL = "LOP"


def world(rows: float, seed: int = 1) -> dict[str, np.ndarray]:
    """Columns of the benchmark data with about ``rows`` rows."""
    rng = np.random.default_rng(seed)
    items = round(rows / ((JUDGES * 4 + 2) * 0.9))
    shown = np.argsort(rng.random((items, SYSTEMS)), axis=1)[:, :2]
    length = rng.normal(size=(items, 2)) + 0.1 * (shown - 9.5) / 6
    grid = np.indices((items, 2, JUDGES, 2), dtype=np.int32).reshape(4, -1)
    item, answer, judge, pos = grid[:, rng.random(grid.shape[1]) < 0.9]
    graded = np.flatnonzero(rng.random(items) < 0.5).astype(np.int32)
    who = np.argsort(rng.random((graded.size, ANNOTATORS)), axis=1)[:, :2]
    human_item, human_answer = np.repeat(graded, 4), np.tile(np.repeat([0, 1], 2), graded.size)
    annotator = who[np.repeat(np.arange(graded.size), 4), np.tile([0, 1], 2 * graded.size)]
    keep = rng.random(human_item.size) < 0.9
    count = int(keep.sum())
    item = np.concatenate([item, human_item[keep]])
    answer = np.concatenate([answer, human_answer[keep]])
    pos = np.concatenate([pos, np.zeros(count, np.int32)]).astype(float)
    annotator = np.concatenate([np.full(judge.size, -1), annotator[keep]])
    judge = np.concatenate([judge, np.full(count, JUDGES, np.int32)])
    system = shown[item, answer]
    loglen = length[item, answer]
    own = ((system % 10) == judge).astype(float)
    severity = np.array([3.6, 3.2, 3.9, 3.4, 3.1, 3.7, 3.5, 3.0, 3.3])
    by_pos = np.array([0.15, 0.05, -0.1, 0.2, 0.08, 0.0, 0.12, -0.05, 0.0])
    by_length = np.array([0.20, 0.10, 0.30, 0.15, 0.05, 0.25, 0.18, 0.12, 0.08])
    by_own = np.array([0.25, 0.10, 0.30, 0.05, 0.20, 0.15, 0.0, 0.35, 0.0])
    y = severity[judge] + by_pos[judge] * pos + by_length[judge] * loglen + by_own[judge] * own
    y += 0.55 * rng.normal(size=items)[item] + 0.40 * rng.normal(size=SYSTEMS)[system]
    y += np.where(annotator >= 0, 0.30 * rng.normal(size=ANNOTATORS)[annotator], 0.0)
    y += 0.35 * rng.normal(size=(items, JUDGES + 1))[item, judge] + 0.70 * rng.normal(size=item.size)
    order = rng.permutation(item.size)
    columns = {
        "y": y,
        "item": item.astype(np.int64),
        "system": system.astype(np.int64),
        "judge": judge.astype(np.int64),
        "annotator": annotator.astype(np.int64),
        "pos": pos,
        "loglen": loglen,
        "own": own,
    }
    return {name: column[order] for name, column in columns.items()}


def fixed_columns(d: dict[str, np.ndarray]):
    """The sparse 34-column fixed part of models A to C: everything by judge."""
    import scipy.sparse as sp

    n, judge = d["y"].size, d["judge"]
    human = judge == JUDGES
    pos = np.where(human, 0, d["pos"])
    parts = [(judge, np.ones(n)), (judge, d["loglen"]), (judge, pos), (judge, d["own"])]
    widths = [JUDGES + 1, JUDGES + 1, JUDGES, JUDGES]
    offset, index, value = 0, [], []
    for (code, x), width in zip(parts, widths, strict=True):
        index.append(np.where(code < width, offset + code, offset))
        value.append(np.where(code < width, x, 0.0))
        offset += width
    flat = (np.column_stack(value).ravel(), np.column_stack(index).ravel(), np.arange(0, 4 * n + 1, 4))
    return sp.csr_array(flat, shape=(n, offset))


def fit_ours(d: dict[str, np.ndarray], model: str):
    from app.stats.lmm import RandomTerm, fit_lmm

    item = RandomTerm(name="item", codes=d["item"])
    system = RandomTerm(name="system", codes=d["system"])
    if model == "D":
        X = np.column_stack([np.ones(d["y"].size), d["pos"], d["loglen"], d["own"]])
        slopes = np.column_stack([d["pos"], d["loglen"]])
        groups = [item, system, RandomTerm(name="judge", codes=d["judge"], columns=slopes)]
    else:
        X = fixed_columns(d)
        groups = [item, system]
        if model in "BC":
            groups.append(RandomTerm(name="annotator", codes=d["annotator"]))
        if model == "C":
            groups.append(RandomTerm(name="cell", codes=d["item"] * (JUDGES + 1) + d["judge"]))
    return fit_lmm(y=d["y"], X=X, groups=groups)


def categories(y: np.ndarray, count: int) -> np.ndarray:
    """Categories 0..count-1 of equal size."""
    return np.searchsorted(np.quantile(y, np.arange(1, count) / count), y)


def run_ordinal(model: str, rows: float, repeats: int) -> dict[str, float]:
    from app.stats.clmm import fit_clmm
    from app.stats.lmm import RandomTerm

    d = world(rows)
    count = 2 if model == "L" else 5
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        groups = [
            RandomTerm(name="item", codes=d["item"]),
            RandomTerm(name="system", codes=d["system"]),
        ]
        if model == "P":
            groups.append(RandomTerm(name="annotator", codes=d["annotator"]))
            groups.append(RandomTerm(name="cell", codes=d["item"] * (JUDGES + 1) + d["judge"]))
        fit = fit_clmm(
            category=categories(d["y"], count), categories=count, X=fixed_columns(d), groups=groups
        )
        best = min(best, time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": best, "mb": peak, "n": fit.n, "deviance": fit.deviance, "converged": fit.converged}


def run_ours(model: str, rows: float, repeats: int) -> dict[str, float]:
    if model in ORDINAL:
        return run_ordinal(model, rows, repeats)
    d = world(rows)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        fit = fit_ours(d, model)
        best = min(best, time.process_time() - start)
    from app.stats.lmm_inference import contrast

    start = time.process_time()
    contrast(fit, L=np.eye(len(fit.names))[[0, -1]])
    inference = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cpu": best,
        "df": inference,
        "mb": peak,
        "data_mb": base,
        "n": fit.n,
        "deviance": fit.deviance,
        "evaluations": fit.optimiser.evaluations,
        "converged": fit.converged,
        "beta0": fit.beta[0],
        "se0": fit.standard_errors[0],
    }


def run_statsmodels(model: str, rows: float) -> dict[str, float]:
    import warnings

    import scipy.sparse as sp
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    if model == "D":
        raise SystemExit("crossed correlated slopes are not possible there")
    d = world(rows)
    n = d["y"].size
    start = time.process_time()

    def dummies(code: np.ndarray, levels: int) -> sp.csr_matrix:
        entries = (np.where(code >= 0, 1.0, 0.0), (np.arange(n), np.maximum(code, 0)))
        return sp.csr_matrix(entries, shape=(n, levels))

    parts = {"item": d["item"], "system": d["system"]}
    if model in "BC":
        parts["annotator"] = d["annotator"]
    if model == "C":
        parts["cell"] = np.unique(d["item"] * (JUDGES + 1) + d["judge"], return_inverse=True)[1]
    names = list(parts)
    mats = [[dummies(code, int(code.max()) + 1)] for code in parts.values()]
    columns = [[[f"{name}{k}" for k in range(mats[i][0].shape[1])]] for i, name in enumerate(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = MixedLM(
            d["y"],
            fixed_columns(d).toarray(),
            groups=np.ones(n),
            exog_vc=VCSpec(names, columns, mats),
        ).fit(method="lbfgs")
    cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "mb": peak, "n": n, "deviance": -2 * float(fit.llf), "beta0": float(fit.params[0])}


def run_mixedlm(model: str, rows: float) -> dict[str, float]:
    import mixedlm
    import pandas as pd

    d = world(rows)
    judge, human = d["judge"], d["annotator"] >= 0
    columns = {name: d[name] for name in ("y", "pos", "loglen", "own")}
    columns |= {name: d[name].astype(str) for name in ("item", "system", "judge")}
    columns["human"] = human.astype(float)
    columns["annotator"] = np.maximum(d["annotator"], 0).astype(str)
    columns["cell"] = (d["item"] * (JUDGES + 1) + judge).astype(str)
    names = []
    for prefix, x, count in (
        ("j", np.ones(judge.size), JUDGES + 1),
        ("p", d["pos"], JUDGES),
        ("l", d["loglen"], JUDGES + 1),
        ("f", d["own"], JUDGES),
    ):
        for j in range(count):
            names.append(f"{prefix}{j}")
            columns[names[-1]] = x * (judge == j)
    random = {
        "A": "(1|item) + (1|system)",
        "B": "(1|item) + (1|system) + (0 + human|annotator)",
        "C": "(1|item) + (1|system) + (0 + human|annotator) + (1|cell)",
    }
    formula = (
        "y ~ pos + loglen + own + (1 + pos + loglen | judge) + (1 | item) + (1 | system)"
        if model == "D"
        else f"y ~ 0 + {' + '.join(names)} + {random[model]}"
    )
    frame = pd.DataFrame(columns)
    cpu = np.inf
    for _ in range(3 if rows < 2e5 else 1):
        start = time.process_time()
        fit = mixedlm.lmer(formula, frame)
        cpu = min(cpu, time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "mb": peak, "n": d["y"].size, "deviance": float(mixedlm.REMLcrit(fit))}


R_SCRIPT = r"""
suppressMessages(library(lme4)); a <- commandArgs(TRUE); d <- read.csv(a[1]); model <- a[2]
for (j in 0:8) d[[paste0("j", j)]] <- as.numeric(d$judge == j)
for (j in 0:7) d[[paste0("p", j)]] <- d$pos * (d$judge == j)
for (j in 0:8) d[[paste0("l", j)]] <- d$loglen * (d$judge == j)
for (j in 0:7) d[[paste0("f", j)]] <- d$own * (d$judge == j)
x <- c(paste0("j", 0:8), paste0("p", 0:7), paste0("l", 0:8), paste0("f", 0:7))
d$human <- as.numeric(d$annotator >= 0); d$annotator <- factor(pmax(d$annotator, 0))
d$cell <- factor(d$item * 9 + d$judge); d$item <- factor(d$item)
d$system <- factor(d$system); d$judge <- factor(d$judge)
re <- c(A = "(1|item)+(1|system)", B = "(1|item)+(1|system)+(0+human|annotator)",
        C = "(1|item)+(1|system)+(0+human|annotator)+(1|cell)")
ordinal <- model %in% c("L", "O", "P")
f <- if (ordinal) NULL else if (model == "D") {
  "y ~ pos + loglen + own + (1 + pos + loglen | judge) + (1 | item) + (1 | system)"
} else paste("y ~ 0 +", paste(x, collapse = "+"), "+", re[[model]])
if (ordinal) {
  k <- if (model == "L") 2 else 5
  cuts <- quantile(d$y, seq_len(k - 1) / k)
  d$g <- factor(findInterval(d$y, cuts, left.open = TRUE))
  fixed <- paste("g ~", paste(x[-1], collapse = "+"), "+ (1|item) + (1|system)")
  if (model == "P") fixed <- paste(fixed, "+ (0 + human|annotator) + (1|cell)")
  t <- system.time(m <- suppressWarnings(suppressMessages(
    if (k == 2) glmer(as.formula(fixed), d, family = binomial)
    else ordinal::clmm(as.formula(fixed), data = d))))
} else t <- system.time(m <- suppressWarnings(suppressMessages(lmer(as.formula(f), d, control = lmerControl(
  calc.derivs = FALSE, check.conv.singular = "ignore")))))
status <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
rss <- as.numeric(sub("[^0-9]*([0-9]+).*", "\\1", status)) / 1024
cat(sprintf('{"cpu": %.6f, "mb": %.1f, "n": %d, "deviance": %.10f, "beta0": %.12f, "se0": %.12f}\n',
            t[["user.self"]] + t[["sys.self"]], rss, nrow(d),
            if (ordinal) -2 * as.numeric(logLik(m)) else REMLcrit(m), if (ordinal) 0 else fixef(m)[[1]],
            sqrt(vcov(m)[1, 1])))
"""


def child(arguments: list[str], timeout: float) -> dict[str, float] | None:
    """Run one measurement in its own process; None if it failed or took too long."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return None
    return json.loads(lines[-1])


def write_csv(path: Path, d: dict[str, np.ndarray]) -> None:
    formats = ["%.17g" if c.dtype.kind == "f" else "%d" for c in d.values()]
    table = np.column_stack(list(d.values()))
    np.savetxt(path, table, fmt=formats, delimiter=",", header=",".join(d), comments="")


def show(
    engine: str, model: str, result: dict[str, float] | None, reference: dict[str, float] | None
) -> None:
    if result is None:
        print(f"| {model} | {engine} | failed or out of time |  |  |  |  |", flush=True)
        return
    ratio = "" if reference is None else f"{result['cpu'] / reference['cpu']:.0f}x"
    gap = "" if reference is None else f"{result['deviance'] - reference['deviance']:+.1e}"
    n, cpu, mb = int(result["n"]), result["cpu"], result["mb"]
    print(f"| {model} | {engine} | {n:,} | {cpu:.3f} | {mb:.0f} | {ratio} | {gap} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, nargs="+", default=[5e3, 5e4, 5e5])
    parser.add_argument("--models", default="ABCDLOP")
    parser.add_argument("--mixedlm", metavar="PYTHON", help="an interpreter with mixedlm, pandas and scipy")
    parser.add_argument("--no-references", action="store_true")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one reference fit")
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "MODEL", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        engine, model, rows = options.one
        if engine == "ours":
            print(json.dumps(run_ours(model, float(rows), 5 if float(rows) < 2e5 else 2), default=float))
        else:
            run = run_mixedlm if engine == "mixedlm" else run_statsmodels
            print(json.dumps(run(model, float(rows)), default=float))
        return
    rscript = shutil.which("Rscript")
    print("| model | engine | rows | CPU s | peak MB | slower than ours | deviance - ours |")
    print("|---|---|---|---|---|---|---|")
    me = [sys.executable, str(Path(__file__).resolve()), "--one"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "fit.R"
        script.write_text(R_SCRIPT)
        for rows in options.rows:
            csv = Path(folder) / "data.csv"
            if rscript and not options.no_references and rows <= 5e5:
                write_csv(csv, world(rows))
            for model in options.models:
                ours = child([*me, "ours", model, str(rows)], 3600)
                show("venire", model, ours, None)
                if options.no_references or ours is None:
                    continue
                if rows <= 1e4 and model in "AB":
                    other = child([*me, "statsmodels", model, str(rows)], options.timeout)
                    show("statsmodels", model, other, ours)
                if options.mixedlm and rows <= 5e5 and model not in ORDINAL:
                    other = child([options.mixedlm, *me[1:], "mixedlm", model, str(rows)], options.timeout)
                    show("mixedlm", model, other, ours)
                if rscript and rows <= (1e4 if model in ORDINAL else 5e5):
                    other = child([rscript, str(script), str(csv), model], options.timeout)
                    show({"L": "glmer", "O": "clmm", "P": "clmm"}.get(model, "lme4"), model, other, ours)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
