"""What the OpenAPI says of tokens, so that clients made from it send one."""

from typing import Any

from fastapi import FastAPI

from onspec.service.roles import OPEN_PATHS

_SCHEME = {"type": "http", "scheme": "bearer", "description": "A token with a role; see docs/service.md."}


class SecuredApi(FastAPI):
    """An application of which every endpoint asks for a bearer token, but for those that are open."""

    def openapi(self) -> dict[str, Any]:
        """With the security that `gate.TokenGate` sees to."""
        made = self.openapi_schema is None
        described = super().openapi()
        if made:
            described.setdefault("components", {})["securitySchemes"] = {"token": _SCHEME}
            described["security"] = [{"token": []}]
            for path in OPEN_PATHS:
                for operation in described["paths"].get(path, {}).values():
                    operation["security"] = []
        return described
