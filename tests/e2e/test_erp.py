"""An ERP, played by lxml and a small HTTP server: orders arrive, run and are reported back; twice, out of order, over kills and outages."""

import ssl
import threading
import tomllib
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lxml import etree

from b2mml_schema import NAMESPACE, schema
from harness import MILL, OVEN, PRESS, TWO_LINES, Case, now_ms, wait_until
from test_certificates import Issuer

PLANT = f"""
{TWO_LINES}
[[material]]
name = "BOLT"
title = "Bolt M8"
unit = "pcs"
operation = [{{ name = "10", title = "Press", equipment = ["{PRESS}"], run_time = "1 s" }}, {{ name = "20", title = "Harden", equipment = ["{OVEN}"], run_time = "1 s" }}]

[[material]]
name = "ROD"
operation = [{{ name = "10", equipment = ["{MILL}"], run_time = "1 s" }}]
"""
B = {"b": NAMESPACE}
SCHEMA = schema()
XML = {"content-type": "application/xml"}


def parse(text: bytes):
    return etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))


def name(root) -> str:
    return etree.QName(root).localname


def texts(root, path: str) -> list[str]:
    return [element if isinstance(element, str) else element.text for element in root.xpath(path, namespaces=B)]


def time(ms: int) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def build(verb: str, requests: list, *, bod: str | None = None, created: int | None = None, noun="OperationsSchedule", **head) -> bytes:
    """A message, in a style of its own: with a prefix, built by lxml."""
    add = lambda parent, tag, text=None: (lambda one: (setattr(one, "text", text), one)[1])(etree.SubElement(parent, f"{{{NAMESPACE}}}{tag}"))
    root = etree.Element(f"{{{NAMESPACE}}}{verb}{noun}", nsmap={"erp": NAMESPACE}, releaseID="7.01")
    area = add(root, "ApplicationArea")
    sender = add(area, "Sender")
    add(sender, "LogicalID", "ERP1")
    if head.get("confirm"):
        add(sender, "ConfirmationCode", head["confirm"])
    add(area, "CreationDateTime", time(created or now_ms()))
    add(area, "BODID", bod or str(uuid.uuid4()))
    data = add(root, "DataArea")
    code = {"Process": "acknowledgeCode", "Change": "responseCode"}.get(verb)
    said = add(data, verb)
    if code and head.get("code"):
        said.set(code, head["code"])
    things = add(data, noun)
    add(things, "ID", "plan")
    for request in requests:
        if noun == "OperationsPerformance":
            response = add(things, "OperationsResponse")
            add(response, "ID", request["id"])
            add(add(response, "SegmentResponse"), "ID", "all")
            continue
        one = add(things, "OperationsRequest")
        add(one, "ID", request["id"])
        for key, tag in (("note", "Description"), ("end", "EndTime"), ("priority", "Priority"), ("state", "RequestState")):
            if key in request:
                add(one, tag, str(request[key]))
        segment = add(one, "SegmentRequirement")
        for tag in ("ID", "ProcessSegmentID", "OperationsDefinitionID", "OperationsSegmentID"):
            add(segment, tag, "10")
        if "material" in request:
            made = add(segment, "MaterialRequirement")
            add(made, "ID", "out")
            add(made, "MaterialDefinitionID", request["material"])
            add(made, "MaterialUse", "Produced")
            quantity = add(made, "Quantity")
            add(quantity, "QuantityString", str(request.get("quantity", 10)))
            if "unit" in request:
                add(quantity, "UnitOfMeasure", request["unit"])
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def define(verb: str, noun: str, things: list[str], *, bod: str | None = None, created: int | None = None, delete: list[str] = (), code="Always") -> bytes:
    """Definitions, as text of an ERP with a template."""
    code = {"Process": f' acknowledgeCode="{code}"', "Change": f' responseCode="{code}"'}.get(verb, "")
    actions = "".join(f'<ActionExpression actionCode="Delete">{one}</ActionExpression>' for one in delete)
    criteria = f"<ActionCriteria>{actions}</ActionCriteria>" if actions else ""
    return f"""<?xml version="1.0"?><{verb}{noun} xmlns="{NAMESPACE}" releaseID="7.01"><ApplicationArea><Sender><LogicalID>ERP1</LogicalID></Sender>
      <CreationDateTime>{time(created or now_ms())}</CreationDateTime><BODID>{bod or uuid.uuid4()}</BODID></ApplicationArea>
      <DataArea><{verb}{code}>{criteria}</{verb}>{"".join(f"<{noun}>{thing}</{noun}>" for thing in things)}</DataArea></{verb}{noun}>""".encode()


def material(number: str, title: str, **properties: str) -> str:
    said = "".join(f"<MaterialDefinitionProperty><ID>{key}</ID><Value><ValueString>{value}</ValueString></Value></MaterialDefinitionProperty>" for key, value in properties.items())
    return f"<ID>{number}</ID><Description>{title}</Description>{said}"


def line(number: str, use: str, quantity: str, unit: str) -> str:
    return f"""<MaterialSpecification><ID>{number}</ID><MaterialDefinitionID>{number}</MaterialDefinitionID><MaterialUse>{use}</MaterialUse>
      <Quantity><QuantityString>{quantity}</QuantityString><UnitOfMeasure>{unit}</UnitOfMeasure></Quantity></MaterialSpecification>"""


class Erp:
    """Takes messages, unless it is away or refuses; keeps all in the order in which they came, with what was sent beside them."""

    def __init__(self, certificate=None):
        self.came, self.tokens, self.status, self.body = [], [], 200, b""
        self.server, self.port, self.certificate = None, 0, certificate

    def start(self):
        erp = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                text = self.rfile.read(int(self.headers["content-length"]))
                erp.tokens.append(self.headers["authorization"])
                status, body = erp.status, erp.body
                if status < 300:
                    erp.came.append(parse(text))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        if self.certificate:
            shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            shown.load_cert_chain(*self.certificate)
            self.server.socket = shown.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def ids(self) -> list[str]:
        return [texts(root, "b:ApplicationArea/b:BODID")[0] for root in self.came]

    def story(self) -> list[tuple]:
        """Each message once, in the order in which it first came: what it says of which jobs."""
        seen, story = set(), []
        for root in self.came:
            bod = texts(root, "b:ApplicationArea/b:BODID")[0]
            if bod not in seen:
                seen.add(bod)
                story.append(tuple(zip(texts(root, "//b:SegmentResponse/b:ID"), texts(root, "//b:SegmentState"))))
        return story


class ErpTest(Case):
    def setUp(self):
        super().setUp()
        self.erp = Erp().start()
        self.addCleanup(lambda: self.erp.stop())
        extra = f'[b2mml]\nunits = {{ PCE = "pcs", KGM = "kg" }}\nproperties = {{ MEINS = "unit", EAN11 = "gtin" }}\nequipment = {{ WC-100 = "{PRESS}" }}\npriorities = [9, 1]\n[[erp]]\nname = "sap"\nurl = "http://127.0.0.1:{self.erp.port}/in"\nsecret = "sap"\n'
        extra += '[[erp]]\nname = "files"\nfolder = "out"\nin_folder = "in"\nbranches = ["works/line1"]\nverb = "sync"\n'
        self.here = self.node(extra=extra)
        self.here.apply(PLANT)
        self.assertEqual(self.here.request("PUT", "/api/secrets/sap", {"value": "opensesame"}).status, 204)

    def send(self, message: bytes, token="cli", status=200):
        answer = self.here.request("POST", "/api/b2mml", message, token=token, headers=XML, deadline=180)
        self.assertEqual(answer.status, status, answer)
        if not answer.body:
            return None
        root = parse(answer.body)
        self.assertTrue(SCHEMA.validate(root), f"{answer.body!r}: {SCHEMA.error_log}")
        return root

    def order(self, number):
        answer = self.here.get(f"/api/mes/orders/{number}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def trigger(self, number, what):
        job = next(job for job in self.order(number.split("/")[0])["jobs"] if job["number"] == number)
        answer = self.here.post(f"/api/mes/jobs/{job['id']}/{what}", {"version": job["version"], "key": str(uuid.uuid4())})
        self.assertEqual(answer.status, 200, answer)
        return job

    def count(self, job, **amounts):
        answer = self.here.post(f"/api/mes/jobs/{job['id']}/counts", {"key": str(uuid.uuid4()), **amounts})
        self.assertEqual(answer.status, 200, answer)

    def link(self, name="sap"):
        return next(link for link in self.here.get("/api/erp").json["links"] if link["name"] == name)

    def verdicts(self, root):
        return root.xpath("//b:ResponseExpression/@actionCode", namespaces=B)

    def test_orders_come_run_and_are_reported_back_over_outages_and_kills(self):
        end = now_ms() // 1000 * 1000 + 3_600_000
        new = build("Process", [{"id": "4711", "material": "BOLT", "quantity": "12.5", "unit": "PCE", "end": time(end), "priority": 1, "state": "Released"}])
        answer = self.send(new)
        self.assertEqual((name(answer), self.verdicts(answer)), ("AcknowledgeOperationsSchedule", ["Accepted"]))
        order = self.order("4711")
        found = [order[key] for key in ("material", "quantity", "priority", "due_ms", "state", "source")]
        self.assertEqual(found, ["BOLT", 12.5, 9, end, "Released", "erp"])
        job = self.trigger("4711/10", "begin")
        self.count(job, good=9, scrap=2, reason="bent")
        wait_until("the beginning is reported", lambda: self.erp.story() == [(("4711/10", "Running"),)])
        self.assertEqual(set(self.erp.tokens), {"Bearer opensesame"})
        # The ERP is away, and so is the node for a moment.
        self.erp.stop()
        self.trigger("4711/10", "stop")
        self.count(job, good=1)
        self.here.kill()
        self.here.start()
        self.trigger("4711/20", "begin")
        wait_until("that nothing is taken is known", lambda: self.link()["state"] == "failing" and self.link()["waiting"] >= 1)
        self.here.kill()
        self.here.start()
        self.trigger("4711/20", "stop")
        self.erp.start()
        done = (("4711/10", "Completed"), ("4711/20", "Completed"))
        wanted = [(("4711/10", "Running"),), (("4711/10", "Completed"),), (("4711/10", "Completed"),), (("4711/20", "Running"),), done]
        wait_until("everything arrives in order", lambda: self.erp.story() == wanted, 90)
        # Taken, and killed before that is saved: again, but under the same id.
        self.here.kill()
        self.here.start()
        version = self.order("4711")["version"]
        self.assertEqual(self.here.post("/api/mes/orders/4711/close", {"version": version}).status, 200)
        closed = tuple((job, "Closed") for job, _ in done)
        wait_until("the close is reported", lambda: self.erp.story() == wanted + [closed], 30)
        for root in self.erp.came:
            self.assertTrue(SCHEMA.validate(root), SCHEMA.error_log)
            self.assertEqual(name(root), "ProcessOperationsPerformance")
        last = self.erp.came[-1]
        self.assertEqual(texts(last, "//b:OperationsResponse/b:OperationsRequestID"), ["4711"])
        made = last.xpath("//b:SegmentResponse[b:ID='4711/10']/b:MaterialActual", namespaces=B)
        said = [(texts(one, "b:ID")[0], texts(one, "b:Quantity/b:QuantityString")[0], texts(one, "b:Quantity/b:UnitOfMeasure")[0]) for one in made]
        self.assertEqual(said, [("good", "10", "PCE"), ("scrap", "2", "PCE"), ("rework", "0", "PCE")])
        self.assertEqual(texts(last, "//b:EquipmentActual/b:EquipmentID"), [PRESS, OVEN])
        times = texts(last, "//b:ActualStartTime") + texts(last, "//b:ActualEndTime")
        self.assertEqual((len(times), times[0] < times[2]), (4, True))
        wait_until("nothing waits", lambda: (self.link()["state"], self.link()["waiting"]) == ("in_order", 0))
        # The same as files, whole, in order, and no other.
        out = self.here.folder / "out"
        wait_until("all files are there", lambda: len(list(out.glob("*.xml"))) == 6)
        files = [parse(path.read_bytes()) for path in sorted(out.iterdir())]
        self.assertEqual({name(root) for root in files}, {"SyncOperationsPerformance"})
        self.assertTrue(all(SCHEMA.validate(root) for root in files), SCHEMA.error_log)
        ids = list(dict.fromkeys(self.erp.ids()))
        self.assertEqual([texts(root, "b:ApplicationArea/b:BODID")[0] for root in files], ids)
        # What was asked can be asked for.
        shown = self.send(build("Get", [{"id": "4711"}], noun="OperationsPerformance"))
        self.assertEqual((name(shown), texts(shown, "//b:ResponseState")), ("ShowOperationsPerformance", ["Closed"]))
        shown = self.send(build("Get", [{"id": "4711"}, {"id": "nowhere"}]), status=422)
        self.assertEqual((name(shown), texts(shown, "//b:OperationsRequest/b:ID"), texts(shown, "//b:RequestState")), ("ShowOperationsSchedule", ["4711"], ["Closed"]))
        self.assertIn("nowhere is not known", texts(shown, "//b:ResponseCriteria//b:Description")[0])

    def test_a_message_comes_twice_too_late_and_changed(self):
        at = now_ms() - 60_000
        one = {"id": "1", "material": "BOLT", "quantity": 5}
        first = build("Process", [one], bod="b-1", created=at)
        answer = self.here.request("POST", "/api/b2mml", first, headers=XML)
        self.assertEqual(answer.status, 200, answer)
        version = self.order("1")["version"]
        self.here.kill()
        self.here.start()
        again = self.here.request("POST", "/api/b2mml", first, headers=XML)
        self.assertEqual((again.status, again.body), (200, answer.body), "the same answer, byte for byte, over a kill")
        self.assertEqual(self.order("1")["version"], version)
        # The same order under another id is there already; other content under the same id is another message.
        self.send(build("Process", [one], bod="b-2", created=at))
        refused = self.send(build("Process", [{**one, "quantity": 6}], bod="b-1", created=at), status=422)
        self.assertEqual((name(refused), "under this BODID" in texts(refused, "//b:BOD/b:Description")[0]), ("ConfirmBOD", True))
        # Changed, and the older change comes after it.
        later = build("Change", [{**one, "quantity": 8, "priority": 9, "state": "Released"}], created=at + 20_000, code="Always")
        self.assertEqual(name(self.send(later)), "RespondOperationsSchedule")
        order = self.order("1")
        self.assertEqual((order["quantity"], order["priority"], order["state"]), (8, 1, "Released"))
        late = self.send(build("Change", [{**one, "quantity": 7}], created=at + 10_000), status=422)
        self.assertIn("is older", texts(late, "//b:ResponseCriteria//b:Description")[0])
        self.assertEqual(self.order("1")["quantity"], 8)
        # What has begun is not changed and not cancelled.
        self.trigger("1/10", "begin")
        self.send(build("Change", [{**one, "quantity": 9}], created=at + 30_000), status=422)
        refused = self.send(build("Cancel", [{"id": "1"}], created=at + 30_000), status=422)
        self.assertEqual(name(refused), "ConfirmBOD")
        self.send(build("Process", [{**one, "id": "2"}], created=at))
        self.send(build("Cancel", [{"id": "2"}], created=at + 1))
        self.send(build("Cancel", [{"id": "2"}], created=at + 2))
        self.assertEqual(self.order("2")["state"], "Cancelled")
        # No answer where none is wanted, but always one to what is refused.
        self.assertIsNone(self.send(build("Process", [{**one, "id": "3"}], confirm="Never"), status=204))
        self.assertEqual(name(self.send(build("Process", [{**one, "id": "4"}], confirm="Always"))), "ConfirmBOD")
        self.send(build("Process", [{**one, "id": "5", "material": "NONE"}], confirm="Never"), status=422)

    def test_what_is_wrong_is_refused_request_by_request_and_harms_nothing(self):
        good = {"id": "good", "material": "BOLT"}
        bad = [
            {"id": "a/b", "material": "BOLT"},
            {"id": "b", "material": "NONE"},
            {"id": "c", "material": "BOLT", "quantity": -1},
            {"id": "d", "material": "BOLT", "unit": "KGM"},
            {"id": "e", "material": "BOLT", "end": "2026-12-01T06:00:00"},
            {"id": "f"},
            {"id": "g", "material": "BOLT", "priority": 77},
        ]
        answer = self.send(build("Process", [good, *bad]), status=422)
        self.assertEqual(self.verdicts(answer), ["Accepted"] + ["Rejected"] * len(bad))
        for word, said in zip(["number of an order", "NONE", "-1", "KGM", "zone", "what is produced", "Priority 77"], texts(answer, "//b:ResponseCriteria//b:Description")):
            self.assertIn(word, said)
        self.assertEqual(len(self.here.get("/api/mes/orders").json["orders"]), 1)
        # Malformed: with its head, an answer that names it; without, a problem.
        broken = self.send(build("Process", [{"id": "x", "end": "soon"}], bod="broken"), status=422)
        self.assertEqual((name(broken), texts(broken, "//b:OriginalApplicationArea/b:BODID")[0]), ("ConfirmBOD", "broken"))
        self.send(build("Process", [good], created=now_ms() + 86_400_000), status=422)
        entity = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
        for text in (b"", b"<a", b"\xff\xfe", entity, b"<a>" * 5000, b"<a x='1'/>", b'<?xml version="1.0"?>' + b"<a/>" * 3):
            answer = self.here.request("POST", "/api/b2mml", text, headers=XML)
            self.assertEqual(answer.status, 400, (text[:40], answer))
            self.assertNotIn(b"root:", answer.body)
        # Nearly 16 MiB, deep, wide and full of attributes: refused at a bound, in good time.
        for text in (b"<a>" * (5 << 20), b"<a>" + b"<b/>" * (3 << 20) + b"</a>", b"<a" + b" b='1'" * (2 << 20) + b"/>", b"<a>" + b"x" * (15 << 20)):
            self.assertEqual(self.here.request("POST", "/api/b2mml", text, headers=XML).status, 400, text[:40])
        self.assertEqual(self.here.request("POST", "/api/b2mml", build("Process", [good]), headers={"content-type": "text/plain"}).status, 415)
        # Without the right nothing is made, and what one does not see is not there.
        olga = self.here.make_user("olga", "engineer", "works/line2")
        ask = lambda message: self.here.request("POST", "/api/b2mml", message, token=None, cookie=olga, headers=XML)
        self.assertIn(b"may not configure", ask(build("Process", [{"id": "z", "material": "BOLT"}])).body)
        self.assertEqual(ask(build("Process", [{"id": "z", "material": "ROD"}])).status, 200)
        for message in (build("Change", [{"id": "good", "priority": 2}]), build("Cancel", [{"id": "good"}]), build("Get", [{"id": "good"}])):
            answer = ask(message)
            self.assertEqual((answer.status, b"known here" in answer.body), (422, True), answer)
        self.assertEqual(self.here.request("POST", "/api/b2mml", build("Process", [good]), token=None, headers=XML).status, 401)

    def exported(self) -> dict:
        plant = tomllib.loads(self.here.get("/api/plant/export").body.decode())
        return {one["name"]: one for one in plant["material"]}

    def versions(self) -> list:
        return self.here.get("/api/plant/versions").json["versions"]

    def test_materials_and_how_they_are_made_come_from_the_erp_and_can_be_ordered(self):
        before = self.exported()
        new = define("Sync", "MaterialDefinition", [material("NUT", "Nut M8", MEINS="PCE", EAN11="4006381333931", Colour="blue"), material("WIRE", "Wire", MEINS="KGM", Tracked="LOT")], bod="m-1")
        self.assertTrue(SCHEMA.validate(parse(new)), SCHEMA.error_log)
        answer = self.here.request("POST", "/api/b2mml", new, headers=XML)
        self.assertEqual((answer.status, name(parse(answer.body))), (200, "ConfirmBOD"), answer)
        now = self.exported()
        self.assertEqual(now["NUT"], {"name": "NUT", "title": "Nut M8", "unit": "pcs", "gtin": "4006381333931"})
        self.assertEqual(now["WIRE"], {"name": "WIRE", "title": "Wire", "unit": "kg", "tracked": "lot"})
        self.assertEqual({key: now[key] for key in before}, before)
        self.assertEqual(self.versions()[0]["reason"], "SyncMaterialDefinition m-1")
        # How it is made, for a thousand at once: half an hour and 12.5 kg of wire.
        segment = f"""<OperationsSegment><ID>10</ID><Description>Press</Description><Duration>PT30M</Duration>
          <EquipmentSpecification><ID>e</ID><EquipmentID>WC-100</EquipmentID></EquipmentSpecification>
          {line("WIRE", "Consumed", "12.5", "KGM")}{line("NUT", "Produced", "1000", "PCE")}</OperationsSegment>"""
        made = define("Process", "OperationsDefinition", [f"<ID>R-77</ID>{segment}"], bod="o-1")
        self.assertTrue(SCHEMA.validate(parse(made)), SCHEMA.error_log)
        answer = self.send(made)
        self.assertEqual((name(answer), self.verdicts(answer)), ("AcknowledgeOperationsDefinition", ["Accepted"]))
        nut = self.exported()["NUT"]
        self.assertEqual(nut["bill"], [{"material": "WIRE", "quantity": 0.0125, "operation": "10"}])
        self.assertEqual(nut["operation"], [{"name": "10", "title": "Press", "equipment": [PRESS], "run_time": "1800ms"}])
        self.send(build("Process", [{"id": "n-1", "material": "NUT", "quantity": 50, "state": "Released"}]))
        self.assertEqual([job["number"] for job in self.order("n-1")["jobs"]], ["n-1/10"])
        # Again, over a kill, it changes nothing; and what is the same under another id makes no version either.
        version = self.versions()[0]["version"]
        self.here.kill()
        self.here.start()
        self.assertEqual(self.verdicts(self.send(made)), ["Accepted"])
        self.send(define("Process", "OperationsDefinition", [f"<ID>R-77</ID>{segment}"]))
        self.assertEqual(self.versions()[0]["version"], version)

    def test_definitions_that_cannot_be_are_refused_each_by_itself_and_harm_nothing(self):
        at = now_ms() - 60_000
        bad_gtin = material("BAD", "Bad", EAN11="4006381333932")
        answer = self.send(define("Process", "MaterialDefinition", [material("GOOD", "Good"), bad_gtin, material("a/b", "No"), material("GOOD", "Twice")], created=at), status=422)
        self.assertEqual((name(answer), self.verdicts(answer)), ("AcknowledgeMaterialDefinition", ["Accepted", "Rejected", "Rejected", "Rejected"]))
        for word, said in zip(["check digit", "a/b", "twice"], texts(answer, "//b:ResponseCriteria//b:Description")):
            self.assertIn(word, said)
        self.assertEqual(self.exported()["GOOD"], {"name": "GOOD", "title": "Good"})
        # Older than what was accepted; an action that is none; a thing that is not there.
        late = self.send(define("Change", "MaterialDefinition", [material("GOOD", "Old")], created=at - 1), status=422)
        self.assertIn("is older", texts(late, "//b:ResponseCriteria//b:Description")[0])
        for inside, word in (
            ("<ID>NONE</ID><OperationsSegment><ID>10</ID><Duration>PT1S</Duration></OperationsSegment>", "NONE is not known here"),
            ("<ID>GOOD</ID><OperationsSegment><ID>10</ID><Duration>PT1S</Duration><EquipmentSpecification><ID>e</ID><EquipmentID>works/nowhere</EquipmentID></EquipmentSpecification></OperationsSegment>", "works/nowhere"),
            ("<ID>GOOD</ID><OperationsSegment><ID>10</ID><Duration>PT1S</Duration></OperationsSegment>", "equipment"),
            ("<ID>GOOD</ID>", "OperationsSegment"),
        ):
            answer = self.send(define("Process", "OperationsDefinition", [inside]), status=422)
            self.assertIn(word, texts(answer, "//b:ResponseCriteria//b:Description")[0])
        # What is named in a bill is not removed; what nothing names is.
        self.send(define("Process", "MaterialDefinition", [material("BOX", "Box")]))
        packed = f"<ID>BOLT</ID><OperationsSegment><ID>10</ID>{line('BOX', 'Consumed', '0.01', 'pcs')}</OperationsSegment>"
        self.send(define("Process", "OperationsDefinition", [packed]))
        self.assertEqual(self.exported()["BOLT"]["operation"][0]["run_time"], "1 s")
        answer = self.send(define("Sync", "MaterialDefinition", [material("BOX", "Box")], delete=["BOX"]), status=422)
        self.assertIn("BOX", texts(answer, "//b:BOD/b:Description")[0])
        answer = self.send(define("Change", "MaterialDefinition", [material("GOOD", "Good"), material("NEVER", "Never")], delete=["NEVER"]), status=422)
        self.assertEqual(self.verdicts(answer), ["Accepted", "Rejected"])
        self.send(define("Process", "MaterialDefinition", [material("GOOD", "Good")], delete=["GOOD"]))
        self.assertNotIn("GOOD", self.exported())
        self.assertEqual(sorted(self.exported()), ["BOLT", "BOX", "ROD"])
        answer = self.send(define("Sync", "MaterialDefinition", [material(f"X{number}", "X") for number in range(1001)]), status=422)
        self.assertIn("at most 1000", texts(answer, "//b:BOD/b:Description")[0])
        # A part of the plant model: who may configure one line only may not.
        olga = self.here.make_user("olga", "engineer", "works/line2")
        answer = self.here.request("POST", "/api/b2mml", define("Process", "MaterialDefinition", [material("Z", "Z")]), token=None, cookie=olga, headers=XML)
        self.assertEqual((answer.status, b"may not configure the whole plant" in answer.body), (422, True), answer)
        self.assertNotIn("Z", self.exported())

    def test_many_orders_in_one_message(self):
        message = build("Process", [{"id": f"m-{number}", "material": "BOLT"} for number in range(500)])
        answer = self.send(message)
        self.assertEqual(self.verdicts(answer).count("Accepted"), 500)
        too_many = build("Process", [{"id": f"n-{number}", "material": "BOLT"} for number in range(5001)])
        self.send(too_many, status=422)
        self.assertEqual(self.here.get("/api/mes/orders/n-0").status, 404)

    def test_what_the_erp_refuses_stands_is_told_and_decided(self):
        self.send(build("Process", [{"id": "7", "material": "BOLT", "state": "Released"}, {"id": "8", "material": "ROD", "state": "Released"}]))
        self.erp.status, self.erp.body = 422, b"no such order"
        self.trigger("7/10", "begin")
        self.trigger("8/10", "begin")
        link = wait_until("the link stands", lambda: self.link() if self.link()["state"] == "stands" else None)
        self.assertIn("no such order", link["why"])
        told = lambda action: [event for event in self.here.timeline(kind="system") if event["detail"].get("action") == action]
        wait_until("people are told", lambda: told("erp_stands"))
        self.here.kill()
        self.here.start()
        wait_until("it stands over a kill", lambda: self.link()["state"] == "stands")
        olga = self.here.make_user("olga", "engineer")
        self.assertEqual(self.here.request("POST", "/api/erp/sap/skip", {}, token=None, cookie=olga).status, 403)
        self.assertEqual(self.here.post("/api/erp/none/skip", {}).status, 404)
        self.assertEqual(self.here.post("/api/erp/sap/skip", {}).status, 200)
        wait_until("the next one stands", lambda: self.link()["dropped"] == 1 and self.link()["state"] == "stands")
        self.erp.status, self.erp.body = 200, b""
        self.assertEqual(self.here.post("/api/erp/sap/retry", {}).status, 200)
        wait_until("it is taken", lambda: self.erp.story() == [(("8/10", "Running"),)])
        wait_until("all is in order", lambda: self.link()["state"] == "in_order")
        self.assertEqual(self.here.post("/api/erp/sap/skip", {}).status, 409)
        wait_until("that it was skipped is on record", lambda: len(told("erp_skipped")) == 1)

    def test_over_tls_it_is_the_erp_that_gets_the_secret_and_nobody_else(self):
        folder = self.temporary_folder()
        issuer, other = Issuer(folder, "ca"), Issuer(folder, "other")
        issuer.issue_server("erp", "localhost")
        safe = Erp((folder / "erp.pem", folder / "erp.key")).start()
        self.addCleanup(safe.stop)
        link = lambda name, host, ca: f'[[erp]]\nname = "{name}"\nurl = "https://{host}:{safe.port}/in"\nsecret = "sap"\nuser = "ANDON"\nca = "{ca.file}"\n'
        here = self.node(extra=link("other", "localhost", other) + link("elsewhere", "127.0.0.1", issuer) + link("good", "localhost", issuer))
        here.apply(PLANT)
        self.assertEqual(here.request("PUT", "/api/secrets/sap", {"value": "opensesame"}).status, 204)
        self.here = here
        self.send(build("Process", [{"id": "9", "material": "BOLT", "state": "Released"}]))
        self.trigger("9/10", "begin")
        wait_until("the ERP has it", lambda: safe.story() == [(("9/10", "Running"),)])
        self.assertEqual(safe.tokens, ["Basic QU5ET046b3BlbnNlc2FtZQ=="])
        for name in ("other", "elsewhere"):
            failing = wait_until("it is not trusted", lambda: (link := self.link(name))["state"] == "failing" and link)
            self.assertIn("no encrypted connection", failing["why"])
        self.assertEqual(len(safe.tokens), 1)
        # A secret that a link shows is not forgotten under it.
        refused = here.request("DELETE", "/api/secrets/sap")
        self.assertEqual((refused.status, refused.json["detail"]), (400, 'the link to the ERP "other" names this secret'))
        self.assertIn("take it out there first", refused.json["remedy"])

    def test_files_are_taken_once_they_are_whole_and_answered(self):
        inside = self.here.folder / "in"
        wait_until("the folder is there", inside.is_dir)
        (inside / "a.xml.part").write_bytes(build("Process", [{"id": "f1", "material": "BOLT"}]))
        (inside / "b.xml.part").write_bytes(build("Process", [{"id": "f2", "material": "ROD"}]))
        (inside / "c.xml.part").write_bytes(b"<nothing")
        for letter in "abc":
            (inside / f"{letter}.xml.part").rename(inside / f"{letter}.xml")
        wait_until("all are moved", lambda: not list(inside.glob("*.xml")))
        self.assertEqual(sorted(path.name for path in (inside / "done").iterdir()), ["a.answer.xml", "a.xml", "b.answer.xml"])
        # A file of another branch than the link's, and one that is no message.
        self.assertEqual(sorted(path.name for path in (inside / "failed").iterdir()), ["b.xml", "c.xml"])
        self.assertEqual(self.verdicts(parse((inside / "done/a.answer.xml").read_bytes())), ["Accepted"])
        self.assertEqual(self.order("f1")["state"], "Forecast")
        # Killed at any point, and put back as a crash before the move would leave it: taken once.
        before = self.order("f1")["version"]
        self.here.kill()
        (inside / "done/a.xml").rename(inside / "a.xml")
        first = (inside / "done/a.answer.xml").read_bytes()
        self.here.start()
        wait_until("it is moved again", lambda: (inside / "done/a.xml").exists())
        self.assertEqual((self.order("f1")["version"], (inside / "done/a.answer.xml").read_bytes()), (before, first))
