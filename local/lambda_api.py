"""Lambda's own API on a loopback port: functions invoke each other by it.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.gateway import Invokable

_PREFIX, _SUFFIX = "/2015-03-31/functions/", "/invocations"


class LambdaApi:
    """Invokes `functions` by name, once it has them, and answers with what they return."""

    def __init__(self) -> None:
        self.functions: Mapping[str, Invokable] = {}
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None))

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which botocore finds it."""
        host, port = self._runner.addresses[0][:2]
        return {"AWS_ENDPOINT_URL_LAMBDA": f"http://{host}:{port}"}

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        name = request.path.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        function = self.functions.get(name)
        if function is None or request.method != "POST":
            error = {"Type": "User", "Message": f"Function not found: {name}"}
            headers = {"x-amzn-errortype": "ResourceNotFoundException"}
            return web.json_response(error, status=404, headers=headers)
        answer = await function.invoke(await request.read() or b"{}")
        failed = {} if answer.error is None else {"X-Amz-Function-Error": "Unhandled"}
        return web.Response(body=answer.payload, content_type="application/json", headers=failed)
