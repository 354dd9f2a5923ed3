"""Paho clients that are driven by hand: one thread, no hidden reconnects, so that a test knows what each client has seen."""

from __future__ import annotations

import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

EXPIRY_S = 3600


class Client:
    """A Paho client with a durable session, protocol 4 (3.1.1) or 5. It keeps its half of every handshake over reconnects."""

    def __init__(self, client_id: str, protocol: int = 4, *, durable: bool = True, user: str | None = None, password: str | None = None):
        self.protocol = protocol
        clean = {} if protocol == 5 else {"clean_session": not durable}
        version = paho.MQTTv5 if protocol == 5 else paho.MQTTv311
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **clean)
        self.durable = durable
        if user is not None:
            self.paho.username_pw_set(user, password)
        self.paho.max_queued_messages_set(0)
        self.messages: list[tuple[str, bytes, int, bool]] = []  # topic, payload, QoS, retained
        self.on_message = lambda message: self.messages.append((message.topic, message.payload, message.qos, message.retain))
        self.acknowledged: set[int] = set()
        self.on_acknowledged = self.acknowledged.add
        self.refused: list[str] = []
        self.on_refused = lambda mid, reason: self.refused.append(reason)
        self.suback: list | None = None
        self.connack = None
        self.session_present = False
        self.paho.on_message = lambda _c, _u, message: self.on_message(message)
        self.paho.on_publish = self._on_publish
        self.paho.on_connect = self._on_connect
        self.paho.on_subscribe = self._on_subscribe

    def _on_publish(self, _client, _userdata, mid, reason, _properties):
        # A failure of version 5 ends the handshake too, but it is no acknowledgement.
        if getattr(reason, "is_failure", False):
            self.on_refused(mid, str(reason))
        else:
            self.on_acknowledged(mid)

    def _on_connect(self, _client, _userdata, flags, reason, _properties):
        self.connack, self.session_present = reason, flags.session_present

    def _on_subscribe(self, _client, _userdata, _mid, reasons, _properties):
        self.suback = reasons

    def connect(self, address: tuple[str, int], deadline: float = 10) -> "Client":
        """Connects and waits for CONNACK. Raises OSError when nobody answers or the answer is no."""
        options = {}
        if self.protocol == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = EXPIRY_S if self.durable else 0
            options = {"clean_start": not self.durable, "properties": properties}
        self.connack = None
        # Paho 2.1 forgets on a second try in a row that a PUBREL is due and publishes the message anew; MQTT 5.0 §4.3.3 forbids that.
        for message in self.paho._out_messages.values():
            if message.state == paho.mqtt_ms_resend_pubrel:
                message.state = paho.mqtt_ms_wait_for_pubcomp
        self.paho.connect(*address, keepalive=30, **options)
        self.until(lambda: self.connack is not None, deadline)
        if self.connack.is_failure:
            raise ConnectionRefusedError(str(self.connack))
        return self

    def turn(self, timeout: float = 0.02) -> bool:
        """One turn of the network loop; false when the connection is gone."""
        return self.paho.loop(timeout) == paho.MQTT_ERR_SUCCESS

    def until(self, ask, deadline: float = 10) -> "Client":
        """Turns the loop until something is true. Raises OSError when the connection is gone or the deadline has passed."""
        end = time.monotonic() + deadline
        while not ask():
            if not self.turn():
                raise ConnectionError("the connection is gone")
            if time.monotonic() > end:
                raise TimeoutError("the deadline has passed")
        return self

    def subscribe(self, *filters: str, qos: int = 2) -> "Client":
        self.suback = None
        self.paho.subscribe([(topic_filter, qos) for topic_filter in filters])
        return self.until(lambda: self.suback is not None)

    def publish(self, topic: str, payload, qos: int = 1, retain: bool = False) -> int:
        """Hands a message to Paho; returns its packet identifier."""
        return self.paho.publish(topic, payload, qos, retain).mid

    def publish_and_wait(self, topic: str, payload, qos: int = 1, retain: bool = False, deadline: float = 10) -> None:
        mid = self.publish(topic, payload, qos, retain)
        self.until(lambda: mid in self.acknowledged, deadline)

    def close(self) -> None:
        self.paho.disconnect()
        end = time.monotonic() + 5
        while self.turn() and time.monotonic() < end:
            pass

    def drop(self) -> None:
        """Cuts the connection without a word."""
        sock = self.paho.socket()
        if sock:
            self.paho._sock_close()
