"""Rosters whose judges are the real SDK adapters on the local provider server."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROTOCOLS = {"openai": "/v1", "openai-responses": "/v1", "anthropic": ""}
PRICE_INPUT, PRICE_OUTPUT = 2.0, 10.0  # US dollars per million tokens


def judge(name: str, family: str, protocol: str, model: str, url: str, **more: Any) -> str:
    """A roster entry with a key of its own: judges that share address and key share what is known of them."""
    key = f"VENIRE_TEST_KEY_{name.replace('-', '_').upper()}"
    os.environ[key] = f"secret-of-{name}"
    extra = "".join(f"{option} = {value}\n" for option, value in more.items())
    return (
        f'[[judges]]\nname = "{name}"\nfamily = "{family}"\nprovider = "{protocol}"\nmodel = "{model}"\n'
        f'base_url = "{url}{PROTOCOLS[protocol]}"\napi_key_env = "{key}"\n'
        f"price_input_per_mtok = {PRICE_INPUT}\nprice_output_per_mtok = {PRICE_OUTPUT}\n{extra}"
    )


def settings_for(folder: Path, roster: Iterable[str], **more: str) -> dict[str, str]:
    """The service's settings with this roster, its data in ``folder``."""
    (folder / "judges.toml").write_text("\n".join(roster))
    return {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml"), **more}


def counted(metrics: str, name: str, **labels: str) -> float:
    """The sum of a Prometheus counter over all its children that have these labels."""
    total = 0.0
    for line in metrics.splitlines():
        series, _, value = line.rpartition(" ")
        wanted = all(f'{label}="{said}"' in series for label, said in labels.items())
        if series.partition("{")[0] == name and wanted:
            total += float(value)
    return total
