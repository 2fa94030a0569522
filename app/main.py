"""The ASGI app, for servers that are started by hand: ``uvicorn app.main:app``."""

from app.bootstrap import build_app
from app.settings import read_settings

app = build_app(read_settings())
