"""pysparkplug as a host application that looks on. Arguments: port, group, and maybe client identifier,
user and password. Commands on stdin, events on stdout, one JSON object per line.

Commands: {"ncmd": node, "metrics": [[name, type, value]…]}, {"dcmd": [node, device], "metrics": …}.
"""

import json
import sys
import threading

import pysparkplug as sp

port, group = int(sys.argv[1]), sys.argv[2]
print_lock = threading.Lock()


def heard(_, message):
    payload = message.payload
    metrics = [[m.name, m.alias, m.datatype.name, m.value] for m in getattr(payload, "metrics", ())]
    with print_lock:
        print(json.dumps({"topic": str(message.topic), "seq": getattr(payload, "seq", None), "metrics": metrics}), flush=True)


client_id, user, password = sys.argv[3:6] if len(sys.argv) > 5 else (None, None, None)
client = sp.Client(client_id=client_id, username=user, password=password)
# In this order, so that the births, by which the library reads aliases, are seen first.
for kind in ("NBIRTH", "NDATA", "NDEATH"):
    topic = sp.Topic(message_type=sp.MessageType[kind], group_id=group, edge_node_id="+")
    client.subscribe(topic, sp.QoS.AT_MOST_ONCE, heard)
for kind in ("DBIRTH", "DDATA", "DDEATH"):
    topic = sp.Topic(message_type=sp.MessageType[kind], group_id=group, edge_node_id="+", device_id="+")
    client.subscribe(topic, sp.QoS.AT_MOST_ONCE, heard)
client.connect("127.0.0.1", port=port, blocking=False)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    at = sp.get_current_timestamp()
    metrics = tuple(sp.Metric(timestamp=at, name=n, datatype=sp.DataType[t], value=v) for n, t, v in command.get("metrics", ()))
    if "ncmd" in command:
        topic = sp.Topic(message_type=sp.MessageType.NCMD, group_id=group, edge_node_id=command["ncmd"])
        message = sp.Message(topic=topic, payload=sp.NCmd(timestamp=at, metrics=metrics), qos=sp.QoS.AT_MOST_ONCE, retain=False)
        client.publish(message, include_dtypes=True)
    if "dcmd" in command:
        node, device = command["dcmd"]
        topic = sp.Topic(message_type=sp.MessageType.DCMD, group_id=group, edge_node_id=node, device_id=device)
        message = sp.Message(topic=topic, payload=sp.DCmd(timestamp=at, metrics=metrics), qos=sp.QoS.AT_MOST_ONCE, retain=False)
        client.publish(message, include_dtypes=True)
