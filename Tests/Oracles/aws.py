"""botocore as the judge of the AWS wire layer. Run by the tests of AWSProtocol; speaks JSON lines.

  aws.py requests MODEL SEED ROUNDS   prints {operation, body, values}: sample requests as botocore sends them
  aws.py responses MODEL              reads {operation, body}, prints {values, requestId} as botocore reads them
  aws.py errors MODEL                 reads {operation, body, status}, prints {code, message, requestId}

MODEL is a file of Models. `values` is a structure as sorted lines, one for each leaf, with the names of
the Swift properties: `reservations[0].instances[1].instanceId = s:i-1`.
"""

import base64
import datetime
import json
import random
import sys
import xml.etree.ElementTree

try:
    from botocore import model, parsers, serialize
except ImportError:
    sys.exit("the tests need botocore: install it (pip install botocore), or name a Python that has it in KARRI_PYTHON")

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ODD = " &=+%;#.,/?<>\"'\\é漢😀\n\t0aZ"


def property_name(member):
    capitals = 0
    while capitals < len(member) and member[capitals].isupper():
        capitals += 1
    if 1 < capitals < len(member) and member[capitals].islower():
        capitals -= 1
    return member[:capitals].lower() + member[capitals:]


def values(shape, value, path=""):
    """The leaves of a value as lines."""
    kind = shape.type_name
    if kind == "structure":
        if not value and path:
            return [f"{path} = {{}}"]
        lines = []
        for name, member in value.items():
            place = property_name(name)
            lines += values(shape.members[name], member, f"{path}.{place}" if path else place)
        return lines
    if kind == "list":
        if not value:
            return [f"{path} = []"]
        return [line for i, item in enumerate(value) for line in values(shape.member, item, f"{path}[{i}]")]
    if kind in ("integer", "long"):
        return [f"{path} = i:{value}"]
    if kind in ("double", "float"):
        return [f"{path} = d:{value!r}"]
    if kind == "boolean":
        return [f"{path} = b:{'true' if value else 'false'}"]
    if kind == "timestamp":
        return [f"{path} = t:{(value - EPOCH) // datetime.timedelta(microseconds=1)}"]
    if kind == "blob":
        return [f"{path} = x:{base64.b64encode(value).decode()}"]
    return [f"{path} = s:{value}"]


class Samples:
    def __init__(self, seed):
        self.dice = random.Random(seed)

    def value(self, shape, share):
        """A value of the shape in which each optional member is filled with the probability `share`."""
        return getattr(self, shape.type_name)(shape, share)

    def structure(self, shape, share):
        filled = {}
        for name, member in shape.members.items():
            if name in shape.required_members or self.dice.random() < share:
                value = self.value(member, share)
                # A form cannot say that a structure is there and empty.
                if value != {}:
                    filled[name] = value
        return filled

    def list(self, shape, share):
        least = max(1, shape.metadata.get("min", 1))
        most = min(least + 3, shape.metadata.get("max", 1000))
        items = [self.value(shape.member, share) for _ in range(self.dice.randint(least, most))]
        return [item if item != {} else self.value(shape.member, 1) for item in items]

    def string(self, shape, share):
        if shape.enum:
            return self.dice.choice(shape.enum)
        least = max(1, shape.metadata.get("min", 1))
        most = min(least + 10, shape.metadata.get("max", 1000))
        return "".join(self.dice.choice(ODD) for _ in range(self.dice.randint(least, most)))

    def integer(self, shape, share):
        return self.dice.randint(shape.metadata.get("min", -(2**31)), shape.metadata.get("max", 2**31 - 1))

    def long(self, shape, share):
        return self.dice.randint(shape.metadata.get("min", -(2**63)), shape.metadata.get("max", 2**63 - 1))

    def double(self, shape, share):
        return self.dice.choice([0.0, 1.5, -2.25, 1e-05, 3e22, self.dice.random()])

    def boolean(self, shape, share):
        return self.dice.random() < 0.5

    def timestamp(self, shape, share):
        return EPOCH + datetime.timedelta(
            seconds=self.dice.randint(-(2**33), 2**37), microseconds=self.dice.choice([0, 0, self.dice.randint(1, 999999)])
        )

    def blob(self, shape, share):
        return self.dice.randbytes(self.dice.randint(1, 40))


def form(parameters):
    """The body as botocore's HTTP layer sends it."""
    from botocore.compat import urlencode

    return urlencode(parameters, doseq=True)


def requests(service, seed, rounds):
    serializer = serialize.create_serializer(service.protocol, include_validation=False)
    samples = Samples(seed)
    for operation in map(service.operation_model, service.operation_names):
        shape = operation.input_shape
        for number in range(rounds):
            value = samples.value(shape, 1 if number == 0 else samples.dice.random()) if shape else {}
            body = form(serializer.serialize_to_request(value, operation)["body"])
            lines = values(shape, value) if shape else []
            print(json.dumps({"operation": operation.name, "body": body, "values": sorted(lines)}))


def parsed(service, given, status):
    operation = service.operation_model(given["operation"])
    parser = parsers.create_parser(service.protocol)
    answer = {"body": given["body"].encode(), "status_code": status, "headers": {}}
    return operation.output_shape, parser.parse(answer, operation.output_shape)


def tag(node):
    return node.tag.split("}")[-1]


def unknown_elements(shape, node, item_name):
    """Elements that the model does not have. botocore passes over them, and takes any name for a list's
    items; other clients do not."""
    if shape.type_name == "list":
        name = shape.member.serialization.get("name", item_name)
        wrong = [tag(item) for item in node if tag(item) != name]
        return wrong + [found for item in node for found in unknown_elements(shape.member, item, item_name)]
    if shape.type_name != "structure":
        return [tag(child) for child in node]
    members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    found = []
    for child in node:
        known = tag(child) in members
        found += unknown_elements(members[tag(child)], child, item_name) if known else [tag(child)]
    return found


def result_node(service, operation, body):
    """The element that holds the members of the result."""
    root = xml.etree.ElementTree.fromstring(body)
    if service.protocol == "ec2":
        root.remove(root[0])
        return root
    wrapper = operation.output_shape.serialization["resultWrapper"]
    return next(child for child in root if tag(child) == wrapper)


def responses(service):
    for line in sys.stdin:
        given = json.loads(line)
        shape, value = parsed(service, given, 200)
        node = result_node(service, service.operation_model(given["operation"]), given["body"])
        unknown = unknown_elements(shape, node, "item" if service.protocol == "ec2" else "member")
        if unknown:
            sys.exit(f"{given['operation']} answers with elements that its model does not have: {unknown[:5]}")
        request_id = value.pop("ResponseMetadata").get("RequestId", "")
        lines = values(shape, value) if shape else []
        print(json.dumps({"values": sorted(lines), "requestId": request_id}))


def errors(service):
    for line in sys.stdin:
        given = json.loads(line)
        _, value = parsed(service, given, given["status"])
        answer = {"code": value["Error"]["Code"], "message": value["Error"]["Message"]}
        print(json.dumps({**answer, "requestId": value["ResponseMetadata"]["RequestId"]}))


with open(sys.argv[2]) as facts:
    SERVICE = model.ServiceModel(json.load(facts))
if sys.argv[1] == "requests":
    requests(SERVICE, int(sys.argv[3]), int(sys.argv[4]))
else:
    {"responses": responses, "errors": errors}[sys.argv[1]](SERVICE)
