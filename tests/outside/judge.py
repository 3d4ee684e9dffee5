"""Holds SOAP requests against the types of their contract, with libxml2: code that shares nothing with this project's own.

Started once, with the folder of the contracts. A line in is {"rules": "apiscp/x.wsdl", "body": "<...>"}; a line out is the
list of complaints, empty when there are none. Rules are an XML Schema, whose element the body's one child must be, or a
WSDL of style rpc/encoded, whose messages are made into a schema first.
"""

import json
import os
import sys
import tempfile

try:
    from lxml import etree
except ImportError:
    print(json.dumps({"missing": "lxml"}), flush=True)
    sys.exit(0)

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
MAP = "http://xml.apache.org/xml-soap"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

# No DTD and nothing from outside, whoever wrote the body.
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


class Rules:
    """A compiled file of rules."""

    def __init__(self, path):
        self.is_encoded = path.endswith(".wsdl")
        if not self.is_encoded:
            self.schema = etree.XMLSchema(etree.parse(path))
            return
        with tempfile.TemporaryDirectory() as folder:
            self.schema = etree.XMLSchema(etree.parse(schema_of_messages(etree.parse(path), folder)))

    def complaints(self, body):
        try:
            root = etree.fromstring(body.encode(), PARSER)
        except etree.XMLSyntaxError as error:
            return ["not XML: %s" % error]
        if root.getroottree().docinfo.doctype:
            return ["a document type"]
        if root.tag != "{%s}Envelope" % ENVELOPE:
            return ["%s instead of an envelope of SOAP 1.1" % root.tag]
        parts = [child.tag for child in root]
        if parts not in (["{%s}Body" % ENVELOPE], ["{%s}Header" % ENVELOPE, "{%s}Body" % ENVELOPE]):
            return ["the envelope holds %s" % parts]
        calls = list(root[-1])
        if len(calls) != 1:
            return ["%d calls in one body" % len(calls)]
        found = []
        if not self.schema.validate(calls[0]):
            found += [error.message for error in self.schema.error_log]
        if self.is_encoded:
            style = "{%s}encodingStyle" % ENVELOPE
            if not any(ENCODING == node.get(style) for node in (root, root[-1], calls[0])):
                found.append("nothing says that this is encoded")
            for part in calls[0]:
                found += untyped(part)
        return found


def schema_of_messages(wsdl, folder):
    """Writes the WSDL's types, and a schema with an element for each operation; the path of the latter.

    An encoded message is a struct: its parts are named, and come in any order. A part may be nil, which no WSDL of this
    style can forbid.
    """
    imports = ""
    for number, schema in enumerate(wsdl.getroot().iterfind("{%s}types/{%s}schema" % (WSDL, XSD))):
        name = "types-%d.xsd" % number
        etree.ElementTree(schema).write(os.path.join(folder, name))
        imports += '<xsd:import namespace="%s" schemaLocation="%s"/>' % (schema.get("targetNamespace"), name)
    elements, spaces = "", set()
    for operation in wsdl.getroot().iterfind("{%s}binding/{%s}operation" % (WSDL, WSDL)):
        body = operation.find("{%s}input/{%s}body" % (WSDL, SOAP))
        spaces.add(body.get("namespace"))
        name = operation.get("name")
        (message,) = wsdl.getroot().iterfind("{%s}message[@name='%sRequest']" % (WSDL, name))
        parts = ""
        for part in message.iterfind("{%s}part" % WSDL):
            kind = part.get("type").split(":")[1]
            parts += '<xsd:element name="%s" type="xsd:%s" nillable="true"/>' % (part.get("name"), kind)
        elements += '<xsd:element name="%s"><xsd:complexType><xsd:all>%s</xsd:all></xsd:complexType></xsd:element>' % (
            name, parts)
    (space,) = spaces
    path = os.path.join(folder, "messages.xsd")
    with open(path, "w", encoding="utf-8") as out:
        out.write('<xsd:schema xmlns:xsd="%s" targetNamespace="%s">%s%s</xsd:schema>' % (XSD, space, imports, elements))
    return path


def untyped(node):
    """What XML Schema cannot say of encoded values: each is typed or nil, and an array is as long as it says."""
    name = etree.QName(node).localname
    kind = node.get("{%s}type" % XSI)
    if kind is None:
        return [] if node.get("{%s}nil" % XSI) in ("true", "1") else ["%s has no type" % name]
    prefix, _, local = kind.rpartition(":")
    space = node.nsmap.get(prefix or None)
    found = []
    if (space, local) == (MAP, "Map"):
        if len(node) == 0:
            found.append("%s is an empty Map, which is read as nothing" % name)
        for item in node:
            for value in item:
                found += untyped(value)
    elif (space, local) == (ENCODING, "Array"):
        said = node.get("{%s}arrayType" % ENCODING) or ""
        if not said.endswith("[%d]" % len(node)):
            found.append("%s has %d members and says %r" % (name, len(node), said))
        for value in node:
            found += untyped(value)
    elif space != XSD:
        found.append("%s is of the type %s" % (name, kind))
    elif len(node):
        found.append("%s is simple and has members" % name)
    return found


def main():
    folder, compiled = sys.argv[1], {}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["rules"]
        if name not in compiled:
            compiled[name] = Rules(os.path.join(folder, name))
        print(json.dumps(compiled[name].complaints(asked["body"])), flush=True)


main()
