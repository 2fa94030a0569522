"""The service one writes first: typed SDK calls, a response model, an ORM session and commit per request.

Only there to be measured beside the real one (`benchmarks/grade.py`).
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import openai
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import JSON, ForeignKey, event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["OBVIOUS_PROVIDER"]
CRITERION = "helpfulness"
SYSTEM = "Judge as a customer of a bank would. " * 20


class Base(DeclarativeBase):
    pass


class GradeRow(Base):
    __tablename__ = "grades"
    id: Mapped[int] = mapped_column(primary_key=True)
    prompt: Mapped[str]
    answer: Mapped[str]
    seed: Mapped[int]
    created_at: Mapped[float]


class VerdictRow(Base):
    __tablename__ = "verdicts"
    id: Mapped[int] = mapped_column(primary_key=True)
    grade_id: Mapped[int] = mapped_column(ForeignKey("grades.id"))
    judge: Mapped[str]
    criterion: Mapped[str]
    score: Mapped[float]
    raw: Mapped[dict] = mapped_column(JSON)


class Verdict(BaseModel):
    rationale: str
    helpfulness: int


class AnswerIn(BaseModel):
    system: str
    family: str | None = None
    text: str


class GradeIn(BaseModel):
    rubric: str
    prompt: str
    answers: list[AnswerIn]


class SeatOut(BaseModel):
    judge: str
    scores: dict[str, float]
    rationale: str
    latency_ms: float


class GradeOut(BaseModel):
    grade_id: int
    status: str
    seed: int
    seats: list[SeatOut]
    mean: float


engine = create_async_engine(
    f"sqlite+aiosqlite:///{os.environ['OBVIOUS_DATABASE']}", connect_args={"timeout": 60}
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
chat = openai.AsyncOpenAI(api_key="k", base_url=f"{URL}/v1")
messages = anthropic.AsyncAnthropic(api_key="k", base_url=URL)


@event.listens_for(engine.sync_engine, "connect")
def set_up(connection, _) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


def question(body: GradeIn) -> str:
    scale = f"Score {CRITERION} from 1 to 5: how far the answer solves the user's problem."
    return f"{scale}\n\nPrompt:\n{body.prompt}\n\nAnswer:\n{body.answers[0].text}"


async def ask_chat(body: GradeIn) -> Verdict:
    reply = await chat.chat.completions.parse(
        model="alpha",
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question(body)}],
        response_format=Verdict,
    )
    return reply.choices[0].message.parsed


async def ask_responses(body: GradeIn) -> Verdict:
    reply = await chat.responses.parse(
        model="beta", instructions=SYSTEM, input=question(body), text_format=Verdict
    )
    return reply.output_parsed


async def ask_messages(body: GradeIn) -> Verdict:
    reply = await messages.messages.parse(
        model="gamma",
        max_tokens=2048,
        system=SYSTEM,
        messages=[{"role": "user", "content": question(body)}],
        output_format=Verdict,
    )
    return reply.parsed_output


@app.post("/grade")
async def grade(body: GradeIn) -> GradeOut:
    seed = random.getrandbits(53)
    judges = [("one", ask_chat), ("two", ask_responses), ("three", ask_messages)]
    random.Random(seed).shuffle(judges)
    begun = time.perf_counter()
    verdicts = await asyncio.gather(*(ask(body) for _, ask in judges))
    took = 1000 * (time.perf_counter() - begun)
    async with sessions() as session:
        row = GradeRow(prompt=body.prompt, answer=body.answers[0].text, seed=seed, created_at=time.time())
        session.add(row)
        await session.flush()
        session.add_all(
            VerdictRow(
                grade_id=row.id,
                judge=name,
                criterion=CRITERION,
                score=verdict.helpfulness,
                raw=verdict.model_dump(),
            )
            for (name, _), verdict in zip(judges, verdicts, strict=True)
        )
        await session.commit()
    return GradeOut(
        grade_id=row.id,
        status="complete",
        seed=seed,
        seats=[
            SeatOut(
                judge=name,
                scores={CRITERION: verdict.helpfulness},
                rationale=verdict.rationale,
                latency_ms=took,
            )
            for (name, _), verdict in zip(judges, verdicts, strict=True)
        ],
        mean=sum(verdict.helpfulness for verdict in verdicts) / len(verdicts),
    )
