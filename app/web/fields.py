"""Types of fields that several routes share."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _clean(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    return text


Text = Annotated[str, AfterValidator(_clean)]
Name = Annotated[str, AfterValidator(_clean), Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A request body: fields it does not know are refused, so that a misspelt one cannot pass unnoticed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answered(BaseModel):
    """A response body; documents what is answered. Bodies on the hot path are built without it."""

    model_config = ConfigDict(extra="forbid")


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of a route that reads ``model`` from its body by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
