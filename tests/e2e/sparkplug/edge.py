"""pysparkplug as an edge node with a device. Commands on stdin, events on stdout, one JSON object per line.

Arguments: port, group, edge node. Commands: {"node": value}, {"device": {"speed": 1.5, …}}, {"register": true}, {"deregister": true}, {"leave": true}.
"""

import json
import sys
import threading

import pysparkplug as sp

port, group, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
TYPES = {
    "speed": sp.DataType.DOUBLE,
    "count": sp.DataType.UINT32,
    "offset": sp.DataType.INT16,
    "lamp": sp.DataType.BOOLEAN,
    "recipe": sp.DataType.STRING,
    "single": sp.DataType.FLOAT,
}
START = {"speed": 1.5, "count": 4_000_000_000, "offset": -7, "lamp": True, "recipe": "Öl 5", "single": 0.25}
print_lock = threading.Lock()


def say(**event):
    with print_lock:
        print(json.dumps(event), flush=True)


def metric(key, value, alias=None):
    return sp.Metric(timestamp=sp.get_current_timestamp(), name=key, datatype=TYPES[key], value=value, alias=alias)


def heard(_, message):
    metrics = [[m.name, m.alias, m.value] for m in message.payload.metrics]
    say(command=str(message.topic), metrics=metrics, seq=getattr(message.payload, "seq", None))


def device():
    metrics = [metric(key, value, alias) for alias, (key, value) in enumerate(START.items(), 100)]
    return sp.Device("press", metrics, cmd_callback=heard)


rebirth = sp.Metric(timestamp=sp.get_current_timestamp(), name="Node Control/Rebirth", datatype=sp.DataType.BOOLEAN, value=False)
uptime = sp.Metric(timestamp=sp.get_current_timestamp(), name="uptime", datatype=sp.DataType.INT64, value=1)
edge = sp.EdgeNode(group, name, [rebirth, uptime], cmd_callback=heard)
edge.register(device())
edge.connect("127.0.0.1", port=port, blocking=False)
say(ready=True)
for line in sys.stdin:
    command = json.loads(line)
    if "node" in command:
        edge.update([sp.Metric(timestamp=sp.get_current_timestamp(), name="uptime", datatype=sp.DataType.INT64, value=command["node"])])
    if "device" in command:
        edge.update_device("press", [metric(key, value) for key, value in command["device"].items()])
    if command.get("deregister"):
        edge.deregister("press")
    if command.get("register"):
        edge.register(device())
    if command.get("leave"):
        edge.disconnect()
        say(left=True)
