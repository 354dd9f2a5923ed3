"""Home Assistant's own MQTT integration as a client of our broker: `peer.py PORT USER PASSWORD` (an empty user: without credentials). It says and hears a line of JSON at a time.

Says `{"ready": true}`, then `{"state": ENTITY, "is": STATE, "attributes": {…}}` for each change and `{"state": ENTITY, "is": null}` for a removal.
Hears `{"call": [DOMAIN, SERVICE, DATA]}` and answers `{"called": true}` or `{"error": TEXT}`."""

import asyncio
import json
import logging
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from homeassistant import bootstrap, loader
from homeassistant.config_entries import ConfigEntries, ConfigEntry
from homeassistant.core import CoreState, HomeAssistant, callback
from homeassistant.const import EVENT_STATE_CHANGED


def say(**words):
    print(json.dumps(words, default=str), flush=True)


class Told(logging.Handler):
    """What it complains about is heard as well: a schema that refuses, a state that does not fit."""

    def emit(self, record):
        error = "".join(traceback.format_exception(*record.exc_info)[-3:]) if record.exc_info else ""
        say(log=record.levelname, by=record.name, text=(record.getMessage() + error)[:2000])


async def main(port: int, user: str, password: str, folder: str):
    Path(folder, "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    hass.config.safe_mode = False
    loader.async_setup(hass)
    hass.config_entries = ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    # What the integration asks for to be set up by people; nothing of it is used here.
    for done in ("http", "file_upload"):
        hass.config.components.add(done)

    @callback
    def changed(event):
        new = event.data["new_state"]
        attributes = dict(new.attributes) if new else {}
        say(state=event.data["entity_id"], **{"is": new.state if new else None}, attributes=attributes)

    hass.bus.async_listen(EVENT_STATE_CHANGED, changed, run_immediately=True)
    data = {"broker": "127.0.0.1", "port": port, "discovery": True, "discovery_prefix": "homeassistant"}
    if user:
        data |= {"username": user, "password": password}
    entry = ConfigEntry(version=1, minor_version=1, domain="mqtt", title="Andon", data=data, source="user")
    hass.set_state(CoreState.running)
    await hass.config_entries.async_add(entry)
    await hass.async_block_till_done()
    say(ready=True)

    lines: asyncio.Queue = asyncio.Queue()

    def read():
        for line in sys.stdin:
            hass.loop.call_soon_threadsafe(lines.put_nowait, line)
        hass.loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await lines.get()) is not None:
        domain, service, call = json.loads(line)["call"]
        try:
            await hass.services.async_call(domain, service, call, blocking=True)
            say(called=True)
        except Exception as error:  # noqa: BLE001 - told to the test
            say(error=f"{type(error).__name__}: {error}")
    await hass.async_stop(force=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, handlers=[Told()])
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], temporary))
