"""The obvious bulk build: one workflow per judge call. Run by `benchmarks.bulk`, not by hand."""

import asyncio
import json
import resource
import sqlite3
import sys
import time
from pathlib import Path

from dbos import DBOS, SetWorkflowID
from openai import AsyncOpenAI
from pydantic import BaseModel

from benchmarks.grade import PROMPT, TEXT

AT_ONCE = 128


class Verdict(BaseModel):
    rationale: str
    helpfulness: int


async def work(provider: str, folder: Path, calls: int) -> dict[str, float]:
    file = folder / "jobs.db"
    sqlite3.connect(file).execute("PRAGMA journal_mode = WAL")
    client = AsyncOpenAI(base_url=f"{provider}/v1", api_key="none", max_retries=5)

    DBOS(config={"name": "obvious", "system_database_url": f"sqlite:///{file}", "log_level": "ERROR"})

    @DBOS.step()
    async def ask(number: int) -> dict[str, object]:
        reply = await client.chat.completions.parse(
            model="alpha",
            messages=[
                {"role": "system", "content": "Judge the answer."},
                {"role": "user", "content": f"{PROMPT}{number}\n\n{TEXT}"},
            ],
            response_format=Verdict,
        )
        verdict = reply.choices[0].message.parsed
        return {"item": number, "verdict": verdict.model_dump() if verdict else None}

    @DBOS.workflow()
    async def judge(number: int) -> dict[str, object]:
        return await ask(number)

    DBOS.launch()
    await DBOS.register_queue_async("calls", worker_concurrency=AT_ONCE, polling_interval_sec=0.05)
    begun, cpu = time.perf_counter(), cpu_seconds()
    handles = []
    for number in range(calls):
        with SetWorkflowID(f"call-{number}"):
            handles.append(await DBOS.enqueue_workflow_async("calls", judge, number))
    while True:
        left = await DBOS.list_workflows_async(
            status=["ENQUEUED", "PENDING"], limit=1, load_input=False, load_output=False
        )
        if not left:
            break
        await asyncio.sleep(0.25)
    spent = {"calls": calls, "cpu_s": cpu_seconds() - cpu, "wall_s": time.perf_counter() - begun}
    DBOS.destroy()
    return spent


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    provider, folder, calls = sys.argv[1:]
    print(json.dumps(asyncio.run(work(provider, Path(folder), int(calls)))))
