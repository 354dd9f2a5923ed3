"""B2MML 7.01 judged by libxml2 (lxml): what we write is well-formed, valid by the edition's order, and says what it should; what lxml
writes in a style of its own is read."""

import subprocess
import unittest

from lxml import etree

from b2mml_schema import NAMESPACE, schema
from harness import ROOT, example

B = {"b": NAMESPACE}
CASES = ROOT / "crates/b2mml/cases"


def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess:
    program = example("b2mml_sample")
    if not program.exists():
        raise unittest.SkipTest(f"{program} is not built: cargo build -p andon-b2mml --example b2mml_sample")
    return subprocess.run([program, *arguments], input=given, capture_output=True, timeout=30, check=False)


def parse(text: bytes):
    return etree.fromstring(text, etree.XMLParser(resolve_entities=False, no_network=True))


def name(root) -> str:
    return etree.QName(root).localname


class B2mml(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = run()
        assert done.returncode == 0, done.stderr
        cls.texts = [text for text in done.stdout.split(b"----\n") if text.strip()]
        cls.messages = [parse(text) for text in cls.texts]
        cls.schema = schema()

    def message(self, wanted: str):
        return next(root for root in self.messages if name(root) == wanted)

    def test_each_message_is_valid_by_the_editions_order(self):
        names = [name(root) for root in self.messages]
        for wanted in ("Process", "Show", "Sync"):
            self.assertIn(f"{wanted}OperationsPerformance", names)
        for wanted in ("AcknowledgeOperationsSchedule", "RespondOperationsSchedule", "ShowOperationsSchedule", "ConfirmBOD"):
            self.assertIn(wanted, names)
        for root in self.messages:
            self.assertTrue(self.schema.validate(root), f"{name(root)}: {self.schema.error_log}")

    def test_another_order_would_be_noticed(self):
        for root in self.messages:
            for parent in list(root.iter(etree.Element)):
                children = list(parent)
                for first, second in zip(children, children[1:]):
                    if first.tag == second.tag:
                        continue
                    first.addprevious(second)
                    self.assertFalse(self.schema.validate(root), f"{name(second)} before {name(first)} in {name(parent)}")
                    second.addprevious(first)
            self.assertTrue(self.schema.validate(root), self.schema.error_log)

    def test_a_report_says_what_was_made_of_what(self):
        report = self.message("ProcessOperationsPerformance")
        at = lambda path: report.xpath(path, namespaces=B)
        texts = lambda path: [element.text for element in at(path)]
        self.assertEqual(report.get("releaseID"), "7.01")
        self.assertEqual(at("b:DataArea/b:Process/@acknowledgeCode"), ["OnError"])
        self.assertEqual(texts("b:ApplicationArea/b:Sender/b:ConfirmationCode"), ["OnError"])
        self.assertEqual(texts("b:ApplicationArea/b:BODID"), ["out-0"])
        self.assertEqual(texts("//b:HierarchyScope//b:EquipmentID"), ["works", "line2"])
        self.assertEqual(texts("//b:OperationsResponse/b:OperationsRequestID"), ["4711"])
        self.assertEqual(texts("//b:SegmentResponse/b:ActualStartTime"), ["2026-11-27T05:02:00.250Z"])
        self.assertEqual(texts("//b:MaterialActual[b:MaterialUse='Consumed']/b:Quantity/*"), ["1249.75", "kg"])
        self.assertEqual(texts("//b:MaterialActual[b:MaterialUse='Produced']/b:MaterialLotID"), ["L-331", "L-332"])
        self.assertEqual(at("//b:MaterialUse[.='Other']/@OtherValue"), ["Carrier"])
        self.assertEqual(at("//b:QuantityString/@xsi:nil".replace("xsi:nil", "*[local-name()='nil']")), ["true"])
        self.assertEqual(texts("//b:SegmentData/b:Value/b:ValueString"), ["38.4 °C & <steady>\nall day"])
        self.assertEqual((texts("//b:PersonID"), texts("//b:EquipmentActual/b:EquipmentID")), (["17"], ["filler"]))

    def test_a_receipt_names_the_message_and_the_reason(self):
        accepted, rejected = (root for root in self.messages if name(root) == "ConfirmBOD")
        for root, action in ((accepted, "Accepted"), (rejected, "Rejected")):
            self.assertEqual(root.xpath("//b:ResponseExpression/@actionCode", namespaces=B), [action])
            self.assertEqual(root.xpath("//b:Confirm/b:OriginalApplicationArea/b:BODID/text()", namespaces=B), ["bod-0001"])
        self.assertIn("Priority", rejected.findtext(".//b:BOD/b:Description", namespaces=B))

    def test_the_cases_are_valid_before_and_after_us(self):
        known = sorted(folder for folder in CASES.iterdir() if (folder / "out.xml").exists())
        self.assertGreaterEqual(len(known), 6)
        for folder in known:
            self.assertTrue(self.schema.validate(parse((folder / "out.xml").read_bytes())), f"{folder.name}: {self.schema.error_log}")
            # The one in another hand has elements in another order and others that are not ours.
            valid = self.schema.validate(parse((folder / "in.xml").read_bytes()))
            self.assertEqual(valid, folder.name != "foreign_style", f"{folder.name}: {self.schema.error_log}")

    def test_what_lxml_writes_in_its_own_style_is_read(self):
        for text, root in zip(self.texts, self.messages):
            prefixed = etree.Element(root.tag, root.attrib, nsmap={"erp": NAMESPACE, "xsi": "http://www.w3.org/2001/XMLSchema-instance"})
            prefixed.extend(etree.fromstring(etree.tostring(root)))
            etree.cleanup_namespaces(prefixed, keep_ns_prefixes=["erp", "xsi"])
            other = etree.tostring(prefixed, encoding="UTF-8", xml_declaration=True, standalone=True)
            self.assertIn(b"<erp:", other)
            done = run("read", given=other)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(done.stdout, text)

    def test_what_lxml_writes_in_another_encoding_is_refused_by_name(self):
        done = run("read", given=etree.tostring(self.messages[0], encoding="ISO-8859-1"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"ISO-8859-1", done.stderr)
