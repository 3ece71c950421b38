"""Writes docs/reference/, every method, message and error: `python -m scripts.reference`.

The pages of the contract come from `protos/` and its comments, by way of buf; who may call a method from
`rpc/access.py`; the page of the Python client from the package's signatures and docstrings.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from matching_client import MatchingError
from matching_server.domain.model import Role
from matching_server.rpc.access import ACCESS, SERVICES, methods_of
from scripts import reference_client, reference_command

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / "docs" / "reference"
PACKAGE = "advisor_matching.v1"
NOTE = "Made from {source} by `scripts/reference.py`; not edited by hand.\n"

Path_ = tuple[int, ...]
"""Where something stands in a file, as descriptors count it."""

_MESSAGES, _ENUMS, _SERVICES, _SYNTAX = 4, 5, 6, 12
_FIELDS, _ONEOFS, _VALUES, _METHODS = 2, 8, 2, 2
_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    files = [File(proto) for proto in described() if proto.package == PACKAGE]
    homes = {name: file.page for file in files for name in file.names}
    made = {file.page: page(file, homes) for file in files}
    return {
        **made,
        "command.md": reference_command.page(),
        "python.md": reference_client.page(),
        "testing.md": reference_client.testing_page(),
    }


def described() -> list[FileDescriptorProto]:
    """The files of the contract, comments included."""
    # The `buf` beside this Python; the one that a shell would find otherwise.
    buf = Path(sys.executable).with_name("buf")
    command = [str(buf) if buf.exists() else "buf", "build", "-o", "-", "--as-file-descriptor-set"]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return list(FileDescriptorSet.FromString(built.stdout).file)


class File:
    """A file of the contract, with its comments by where they stand."""

    def __init__(self, proto: FileDescriptorProto) -> None:
        self.proto = proto
        self.page = {
            "types": "types.md",
            "error_reason": "errors.md",
        }.get(self.stem, f"{self.stem.removesuffix('_service')}.md")
        self._comments = {
            tuple(place.path): place.leading_comments for place in proto.source_code_info.location
        }

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return Path(self.proto.name).stem

    @property
    def names(self) -> set[str]:
        """The full names of its messages and enums."""
        return {
            f".{PACKAGE}.{kind.name}"
            for kinds in (self.proto.message_type, self.proto.enum_type)
            for kind in kinds
        }

    def paragraphs(self, *path: int) -> list[str]:
        """The comment of what stands there, a line each paragraph; lines that begin a list of their own apart."""
        text = "\n".join(line.strip() for line in self._comments.get(path, "").strip().splitlines())
        parts = re.split(r"\n\n|\n(?=(?:Roles|Errors|Metadata): |Mutation\.)", text)
        return [" ".join(part.split()) for part in parts if part.strip()]


def page(file: File, homes: Mapping[str, str]) -> str:
    """The page of one file."""
    if file.stem == "error_reason":
        return "".join(errors(file))
    if file.stem == "types":
        return "".join(types(file, homes))
    return "".join(service(file, file.proto.service[0], homes))


def types(file: File, homes: Mapping[str, str]) -> Iterator[str]:
    """What several services share."""
    yield f"# Shared messages and enums\n\n{NOTE.format(source=f'`protos/{file.proto.name}`')}\n"
    _, *bounds = file.paragraphs(_SYNTAX)
    yield "\n\n".join(bounds) + "\n"
    for number, kind in enumerate(file.proto.message_type):
        yield f"\n## {kind.name}\n\n{message(file, (_MESSAGES, number), kind, homes)}"
    for number, enum in enumerate(file.proto.enum_type):
        yield f"\n## {enum.name}\n\n{values(file, (_ENUMS, number), enum)}"


def service(file: File, proto: ServiceDescriptorProto, homes: Mapping[str, str]) -> Iterator[str]:
    """A service: its methods, each with its request and response; then what else its file has."""
    yield f"# {proto.name}\n\n{NOTE.format(source=f'`protos/{file.proto.name}`')}\n"
    yield "\n\n".join(map(linked, file.paragraphs(_SERVICES, 0)))
    yield f"\n\nThe path of a method is `/{PACKAGE}.{proto.name}/` and its name.\n"
    messages = {kind.name: number for number, kind in enumerate(file.proto.message_type)}
    for number, method in enumerate(proto.method):
        yield f"\n## {method.name}\n\n{call(file, number, proto.name, method)}"
        for name in (method.input_type, method.output_type):
            kind = name.rpartition(".")[2]
            path = (_MESSAGES, messages.pop(kind))
            yield f"\n### {kind}\n\n{message(file, path, file.proto.message_type[path[1]], homes)}"
    for name, number in messages.items():
        kind_ = file.proto.message_type[number]
        yield f"\n## {name}\n\n{message(file, (_MESSAGES, number), kind_, homes)}"
    for number, enum in enumerate(file.proto.enum_type):
        yield f"\n## {enum.name}\n\n{values(file, (_ENUMS, number), enum)}"


def call(file: File, number: int, service_name: str, method: MethodDescriptorProto) -> str:
    """What a method does, who may call it, and how it fails."""
    told: list[str] = []
    listed: list[str] = []
    for text in file.paragraphs(_SERVICES, 0, _METHODS, number):
        (listed if re.match(r"(?:Roles|Errors): |Mutation\.", text) else told).append(linked(text))
    [found] = [known for known in methods_of(SERVICES[service_name]) if known.name == method.name]
    callers = ACCESS[service_name][method.name]
    may = (
        "anybody, unsigned"
        if callers is None
        else "; ".join(f"`{role}`: {callers[role]}" for role in Role if role in callers)
    )
    # Of roles and kinds, the table that the server decides by says more than the comment.
    rest = [re.sub(r"^Roles: [^.]*\.( Read\.)? ?|^Mutation\. ?", "", text) for text in listed]
    python = reference_client.method_link(service_name, method.name)
    points = [f"{found.kind.capitalize()}.", f"Who may call it, and what they reach: {may}.", *rest, python]
    return "\n\n".join(told) + "\n\n" + "".join(f"- {point}\n" for point in points if point)


def message(file: File, path: Path_, kind: DescriptorProto, homes: Mapping[str, str]) -> str:
    """A message: its comment and a line for each field."""
    head = "\n\n".join(map(linked, file.paragraphs(*path)))
    if not kind.field:
        return f"{head} It has no fields.\n"
    lines = [
        (
            f"`{field.name}`",
            str(field.number),
            type_of(kind, field, homes, file.page),
            meaning(file, path, kind, number, field),
        )
        for number, field in enumerate(kind.field)
    ]
    return f"{head}\n\n{table(('field', 'no.', 'type', 'meaning'), lines)}"


def meaning(file: File, path: Path_, kind: DescriptorProto, number: int, field: FieldDescriptorProto) -> str:
    """A field's comment; of one of several, also that of the choice."""
    text = " ".join(file.paragraphs(*path, _FIELDS, number))
    if field.HasField("oneof_index") and not field.proto3_optional:
        choice = " ".join(file.paragraphs(*path, _ONEOFS, field.oneof_index))
        text = f"{text} One of `{kind.oneof_decl[field.oneof_index].name}`: {choice[:1].lower()}{choice[1:]}"
    return linked(text)


def values(file: File, path: Path_, enum: EnumDescriptorProto) -> str:
    """An enum: its comment and a line for each value."""
    lines = [
        (f"`{value.name}`", str(value.number), linked(" ".join(file.paragraphs(*path, _VALUES, number))))
        for number, value in enumerate(enum.value)
    ]
    head = "\n\n".join(map(linked, file.paragraphs(*path)))
    return f"{head}\n\n{table(('value', 'no.', 'meaning'), lines)}"


def errors(file: File) -> Iterator[str]:
    """The reasons of errors: an overview, then each with what its comment says."""
    enum = file.proto.enum_type[0]
    reasons = [
        (value.name.removeprefix("ERROR_REASON_"), file.paragraphs(_ENUMS, 0, _VALUES, number))
        for number, value in enumerate(enum.value)
        if value.number
    ]
    first, common, *rest = file.paragraphs(_ENUMS, 0)
    yield f"# Errors\n\n{NOTE.format(source=f'`protos/{file.proto.name}`')}\n{first}\n\n"
    yield f"## The common ones\n\n{linked(common, here=True)}\n\n{' '.join(rest)}\n\n## All reasons\n\n"
    by_reason = MatchingError._by_reason
    lines = [
        (f"[`{name}`](#{name.lower()})", f"`{told[0].partition('.')[0]}`", f"`{by_reason[name].__name__}`")
        for name, told in reasons
    ]
    yield table(("reason", "gRPC code", "exception of the Python client"), lines)
    for name, told in reasons:
        code, _, text = told[0].partition(". ")
        yield f"\n## {name}\n\n`{code}`. {linked(text, here=True)}\n"
        for line in told[1:]:
            yield f"\n- {line}\n"


def type_of(kind: DescriptorProto, field: FieldDescriptorProto, homes: Mapping[str, str], here: str) -> str:
    """A field's type, with where it is explained."""
    name = field.type_name.removeprefix(".") or _SCALARS[field.type]
    if field.type_name in homes:
        home = homes[field.type_name]
        short = name.rpartition(".")[2]
        name = f"[{short}]({'' if home == here else home}#{short.lower()})"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"{name}, repeated"
    return f"{name}, optional" if field.proto3_optional else name


def linked(text: str, *, here: bool = False) -> str:
    """A comment's text, in which the reasons of errors lead to their explanation."""
    page_ = "" if here else "errors.md"
    reason = re.compile(
        rf"(?<![\w`#\[])({'|'.join(sorted(MatchingError._by_reason, key=len, reverse=True))})(?![\w`])"
    )
    text = reason.sub(lambda found: f"[{found[1]}]({page_}#{found[1].lower()})", text)
    return text.replace("the common ones", f"[the common ones]({page_}#the-common-ones)")


def table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    rows = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in line) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, content in pages().items():
        (DIRECTORY / name).write_text(content)
