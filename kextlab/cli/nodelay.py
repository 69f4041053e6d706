"""A Jupyter kernel websocket that sends every message at once.

A widget's answer is a few small messages in a row. With Nagle's algorithm the second one waits for
the acknowledgement of the first, and the browser's TCP delays that by about 40 ms; TCP_NODELAY
takes the wait away. The Jupyter server is told to use this class by `kextlab lab`, through its
setting `ServerApp.kernel_websocket_connection_class`; nothing of it is patched.
"""

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """The server's own connection of a websocket to a kernel, with TCP_NODELAY set."""

    async def connect(self) -> None:  # type: ignore[override]  # a coroutine, as in the base class
        """Set TCP_NODELAY on the websocket just opened, then connect it to its kernel."""
        self.websocket_handler.set_nodelay(True)
        connected = super().connect()
        if connected is not None:
            await connected
