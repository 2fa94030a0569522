"""Packages of others, called as their documentation says, group by group, on one prediction per unit: the
panel's mean verdict, or the single judge that follows people better in hindsight, if there is one.

They are dependencies of this benchmark alone. Into an environment that can also import this project:

    pip install cje-eval truescore ppi-python judgy

What is absent is left out, with a message. glide-py needs Python 3.12, this project runs on 3.11: its
multi-proxy estimator stands in as `estimates.multi_ppi`.
"""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable

import numpy as np

from benchmarks.accuracy.estimates import LEVEL, Estimates
from benchmarks.accuracy.panel import Floats, Ints

Peer = Callable[[Floats, Floats, Floats], tuple[float, float, float]]
"""Labels, their predictions, predictions without labels -> estimate, lower, upper; all on 0 to 1."""


def _ppi_python(y: Floats, f: Floats, rest: Floats) -> tuple[float, float, float]:
    from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

    low, high = ppi_mean_ci(y, f, rest, alpha=1 - LEVEL)
    return (
        float(np.squeeze(ppi_mean_pointestimate(y, f, rest))),
        float(np.squeeze(low)),
        float(np.squeeze(high)),
    )


def _truescore(y: Floats, f: Floats, rest: Floats) -> tuple[float, float, float]:
    import truescore

    found = truescore.ppi_estimate(np.concatenate([f, rest]), y, np.arange(y.size), alpha=1 - LEVEL)
    return float(found.point), float(found.low), float(found.high)


def _cje(y: Floats, f: Floats, rest: Floats) -> tuple[float, float, float]:
    import cje

    labels = np.concatenate([y, np.full(rest.size, np.nan)])
    found = cje.calibrated_mean_ci(np.concatenate([f, rest]), labels, alpha=1 - LEVEL)
    return float(found.estimate), float(found.ci[0]), float(found.ci[1])


def _judgy(y: Floats, f: Floats, rest: Floats) -> tuple[float, float, float]:
    """For yes and no only: grades and verdicts are cut in the middle."""
    import judgy

    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("judgy is for grades of 0 and 1")
    cut = [(values > 0.5).astype(int) for values in (y, f, rest)]
    return judgy.estimate_success_rate(*cut, bootstrap_iterations=1000, confidence_level=LEVEL)


PEERS: dict[str, tuple[str, Peer]] = {
    "ppi-python": ("ppi_py", _ppi_python),
    "truescore": ("truescore", _truescore),
    "cje-eval": ("cje", _cje),
    "judgy": ("judgy", _judgy),
}
"""Package -> the module that it installs, and how it is called."""


def installed() -> tuple[dict[str, Peer], list[str]]:
    """The peers that can be imported, and one line on each that cannot."""
    there: dict[str, Peer] = {}
    missing = ["glide-py is left out: it needs Python 3.12; its multi-proxy estimate is the column multi_ppi"]
    for package, (module, peer) in PEERS.items():
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                importlib.import_module(module)
        except ImportError as error:
            missing.append(f"{package} is left out: {error} (pip install {package})")
        else:
            there[package] = peer
    logging.getLogger("cje").setLevel(logging.CRITICAL)
    return there, missing


def by_group(peer: Peer, y: Floats, f: Floats, group: Ints, groups: int) -> Estimates:
    """The peer on every group; NaN where it raised an error or there are fewer than two labels."""
    rows = np.full((groups, 3), np.nan)
    for g in range(groups):
        own = (group == g) & np.isfinite(f)
        labelled = own & np.isfinite(y)
        rest = f[own & ~labelled]
        if labelled.sum() < 2 or not rest.size:
            continue
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            rows[g] = peer(y[labelled], f[labelled], rest)
    return Estimates(*rows.T)
