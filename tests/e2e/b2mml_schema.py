"""Makes an XML Schema of crates/b2mml/cases/edition.txt, the transcript of what B2MML 7.01 has in which order, so that libxml2 can judge by it."""

from lxml import etree

from harness import ROOT

NAMESPACE = "http://www.mesa.org/xml/B2MML"
XSD = "http://www.w3.org/2001/XMLSchema"
EDITION = ROOT / "crates/b2mml/cases/edition.txt"
OCCURS = {"?": ("0", "1"), "*": ("0", "unbounded"), "+": ("1", "unbounded"), "": ("1", "1")}
BUILT_IN = {"normalizedString", "string", "dateTime", "duration", "decimal", "token"}
VERBS = ("Get", "Show", "Process", "Acknowledge", "Change", "Respond", "Cancel", "Sync")
NOUNS = ("OperationsSchedule", "OperationsPerformance", "MaterialClass", "MaterialDefinition", "OperationsDefinition")
# Elements that may say with xsi:nil that they have no value.
NILLABLE = {"QuantityString", "ValueString"}


def add(parent, tag: str, /, **attributes):
    return etree.SubElement(parent, f"{{{XSD}}}{tag}", attributes)


class Schema:
    def __init__(self):
        self.root = etree.Element(
            f"{{{XSD}}}schema", {"targetNamespace": NAMESPACE, "elementFormDefault": "qualified"}, nsmap={"xsd": XSD, None: NAMESPACE}
        )
        self.known: set[str] = set()
        self.named: set[str] = set()

    def reference(self, kind: str) -> str:
        if kind in BUILT_IN and kind not in self.known:
            return f"xsd:{kind}"
        self.named.add(kind)
        return kind

    def element(self, sequence, name: str, kind: str, how: str):
        least, most = OCCURS[how]
        nillable = {"nillable": "true"} if name in NILLABLE else {}
        add(sequence, "element", name=name, type=self.reference(kind), minOccurs=least, maxOccurs=most, **nillable)

    def codes(self, name: str, words: list[str], own: bool):
        self.known.add(name)
        bare = f"{name}-words" if own else name
        restriction = add(add(self.root, "simpleType", name=bare), "restriction", base="xsd:normalizedString")
        for word in words:
            add(restriction, "enumeration", value=word)
        if own:
            content = add(add(self.root, "complexType", name=name), "simpleContent")
            add(add(content, "extension", base=bare), "attribute", name="OtherValue", type="xsd:string")

    def read(self):
        lines = [line for line in EDITION.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
        sequence = place = None
        for line in lines:
            if line.startswith("type "):
                name, _, base = line[5:].partition(" of ")
                self.known.add(name)
                kind = add(self.root, "complexType", name=name)
                if base:
                    sequence, place = None, add(add(kind, "simpleContent"), "extension", base=self.reference(base))
                else:
                    sequence, place = add(kind, "sequence"), kind
            elif line.startswith("codes "):
                name, _, words = line[6:].partition(": ")
                self.codes(name.removesuffix(" @OtherValue"), words.split(" | "), name.endswith(" @OtherValue"))
            elif " = " in line:
                name, _, base = line.partition(" = ")
                if name not in BUILT_IN:
                    self.known.add(name)
                    add(add(self.root, "simpleType", name=name), "restriction", base=self.reference(base))
            elif line.strip().startswith("@"):
                name, _, kind = line.strip()[1:].partition(": ")
                use = "required" if name.endswith("!") else "optional"
                add(place, "attribute", name=name.rstrip("!"), type=self.reference(kind), use=use)
            else:
                name, _, kind = line.strip().partition(": ")
                how = name[-1] if name[-1] in "?*+" else ""
                name = name.removesuffix(how)
                if "|" in name:
                    choice = add(sequence, "choice")
                    for one in name.split("|"):
                        self.element(choice, one, kind, "")
                else:
                    self.element(sequence, name, kind, how)
        return self

    def messages(self):
        for verb in VERBS:
            for noun in NOUNS:
                self.message(f"{verb}{noun}", (verb, f"Trans{verb}Type"), (noun, f"{noun}Type"), True)
        self.message("ConfirmBOD", ("Confirm", "TransConfirmType"), ("BOD", "BODType"), False)
        return self

    def message(self, name: str, verb: tuple[str, str], noun: tuple[str, str], release: bool):
        kind = add(add(self.root, "element", name=name), "complexType")
        sequence = add(kind, "sequence")
        self.element(sequence, "ApplicationArea", "TransApplicationAreaType", "")
        inner = add(add(add(sequence, "element", name="DataArea"), "complexType"), "sequence")
        self.element(inner, *verb, "")
        self.element(inner, *noun, "+")
        if release:
            add(kind, "attribute", name="releaseID", type="xsd:normalizedString", use="required")
            add(kind, "attribute", name="versionID", type="xsd:normalizedString", use="optional")

    def build(self) -> etree.XMLSchema:
        # What is named and not transcribed must not occur: an empty type.
        for name in sorted(self.named - self.known):
            add(self.root, "complexType", name=name)
        # Through text, since prefixes in attributes are resolved when the text is read.
        return etree.XMLSchema(etree.fromstring(etree.tostring(self.root)))


def schema() -> etree.XMLSchema:
    return Schema().read().messages().build()
